import { basename } from 'node:path';
import { configFromMetadata } from '../../convert/llama4-config.js';
import type { GgmlType } from '../../formats/ggml-types.js';
import type { Imatrix } from '../../formats/imatrix/index.js';
import { elementCount, type TensorInfo, type TensorSource } from '../../formats/tensor-source.js';
import { bitsOfType } from '../candidates.js';
import { type CoverageReport, coverageReport } from '../coverage.js';
import { shapeOf, tensorKind } from '../model-shape.js';
import { bitsPerWeight } from '../plan-summary.js';
import { type FloorPosition, floorOfTensor, floorPosition, type TensorFloor } from './floors.js';
import { identifyTypes, type TypeChoice } from './identify-types.js';
import { fileLabels } from './labels.js';
import type { RoundingError, TensorRounding } from './rounding-errors.js';

/** What running a file on a text has shown; the fields of `DivergenceResult` that the report uses. */
export interface MeasuredQuality {
  readonly meanKld: number;
  readonly meanKldError: number;
  readonly medianKld: number;
  readonly kld99: number;
  readonly sameTopPercent: number;
  readonly perplexity: number;
  readonly perplexityError: number;
  readonly referencePerplexity: number;
  readonly tokens: number;
  readonly chunks: number;
  readonly contextSize: number;
}

/** A weight matrix of the original. */
export interface ReportTensor {
  readonly name: string;
  /** Absent outside of layers. */
  readonly layer?: number;
  /** The name without layer and `.weight`: `attn_q`, `ffn_down_exps`, `output`. */
  readonly projection: string;
  readonly shape: readonly number[];
  readonly weights: number;
  readonly type: GgmlType;
  readonly floor?: TensorFloor;
  /** Rounded to bitsandbytes' NF4 in blocks of 64. */
  readonly nf4: RoundingError;
}

/** The same matrix in a quantized file. */
export interface FileTensor {
  readonly type: GgmlType;
  readonly bits: number;
  readonly bytes: number;
  readonly error: RoundingError;
  readonly position: FloorPosition;
}

export interface ReportFile extends TypeChoice {
  /** What tells the file from the others. */
  readonly label: string;
  readonly file: string;
  /** All its parts, headers included. */
  readonly bytes: number;
  readonly bitsPerWeight: number;
  /** Error of the weight matrices, averaged over their weights. */
  readonly error: RoundingError;
  readonly quality?: MeasuredQuality;
  /** In the order of `Report.tensors`. */
  readonly tensors: readonly FileTensor[];
}

/** A bitsandbytes checkpoint of the model. */
export interface FourBitCheckpoint {
  readonly label: string;
  /** All its files. */
  readonly bytes: number;
  /** Averaged over the weights, as in `ReportFile`. */
  readonly error: RoundingError;
  /** Weight matrices that are as in the original. */
  readonly kept: readonly string[];
  /** Error of each layer, ascending, beside that of NF4 throughout. */
  readonly layers: readonly {
    readonly layer: number;
    readonly plain: RoundingError;
    readonly error: RoundingError;
  }[];
}

/** All that the page shows; JSON as it is. Errors are shares of the squared weights, divergences nats. */
export interface Report {
  readonly format: 'cria-report';
  readonly version: 1;
  readonly model: {
    readonly name: string;
    readonly file: string;
    readonly architecture: string;
    readonly bytes: number;
    readonly weights: number;
    readonly bitsPerWeight: number;
    readonly layers: number;
    readonly experts: number;
  };
  /** Matrices that may be quantized; norms, routers and vectors are not among them. */
  readonly tensors: readonly ReportTensor[];
  /** Whether errors were measured on some rows of large matrices only. */
  readonly sampled: boolean;
  readonly nf4: { readonly bitsPerWeight: number; readonly error: RoundingError };
  /** Ascending in size. */
  readonly files: readonly ReportFile[];
  /** Where checkpoints of bitsandbytes were compared, too. */
  readonly fourBit?: readonly FourBitCheckpoint[];
  readonly importance?: {
    readonly file: string;
    readonly datasets: readonly string[];
    readonly chunks: number;
    readonly chunkSize: number;
  };
  readonly coverage?: CoverageReport;
  /** Name of the text that `quality` was measured on. */
  readonly evaluationText?: string;
}

export interface ReportInputs {
  readonly original: { readonly source: TensorSource; readonly bytes: number };
  readonly files: readonly {
    readonly source: TensorSource;
    readonly bytes: number;
    readonly quality?: MeasuredQuality;
  }[];
  /** Checkpoints of bitsandbytes. */
  readonly fourBit?: readonly { readonly source: TensorSource; readonly bytes: number }[];
  /** By `roundingErrors`, with the files in the same order, then the checkpoints. */
  readonly rounding: ReadonlyMap<string, TensorRounding>;
  readonly imatrix?: { readonly file: string; readonly imatrix: Imatrix };
  readonly evaluationText?: string;
}

/** NF4 with a scale of 32 bits for every 64 weights. */
const NF4_BITS = 4 + 32 / 64;

/** Puts together what is known of a model and its quantized files. Throws the codes of `configFromMetadata`. */
export function buildReport(inputs: ReportInputs): Report {
  const { original, rounding, imatrix, evaluationText } = inputs;
  const { source } = original;
  const shape = shapeOf(source);
  const config = configFromMetadata(source.metadata, source.tensors, source.path);
  const infos = shape.tensors.filter(({ name }) => rounding.has(name));
  const tensors = infos.map((info) => describeTensor(info, rounding.get(info.name)!, imatrix?.imatrix));
  const labels = fileLabels(inputs.files.map((file) => file.source.path));
  const files = inputs.files.map(({ source: file, bytes, quality }, index): ReportFile => {
    const found = tensors.map((tensor) =>
      describeFileTensor(tensor, file.tensors.get(tensor.name)!, rounding.get(tensor.name)!.files[index]!),
    );
    return {
      label: labels[index]!,
      file: basename(file.path),
      ...identifyTypes(file, shape),
      bytes,
      bitsPerWeight: bitsPerWeight([...file.tensors.values()]),
      error: meanError(
        tensors,
        found.map(({ error }) => error),
      ),
      quality,
      tensors: found,
    };
  });
  return {
    format: 'cria-report',
    version: 1,
    model: {
      name: text(source, 'general.name') ?? basename(source.path),
      file: basename(source.path),
      architecture: text(source, 'general.architecture') ?? 'unknown',
      bytes: original.bytes,
      weights: shape.tensors.reduce((sum, tensor) => sum + elementCount(tensor.shape), 0),
      bitsPerWeight: bitsPerWeight(shape.tensors),
      layers: shape.layers,
      experts: shape.experts,
    },
    tensors,
    sampled: [...rounding.values()].some(({ sampled }) => sampled),
    nf4: {
      bitsPerWeight: NF4_BITS,
      error: meanError(
        tensors,
        tensors.map(({ nf4 }) => nf4),
      ),
    },
    files: files.sort((a, b) => a.bytes - b.bytes),
    fourBit: inputs.fourBit?.map(({ source: checkpoint, bytes }, index) =>
      describeFourBit(
        tensors,
        tensors.map(({ name }) => rounding.get(name)!.files[inputs.files.length + index]!),
        { label: basename(checkpoint.path), bytes },
      ),
    ),
    importance: imatrix && {
      file: basename(imatrix.file),
      datasets: imatrix.imatrix.datasets,
      chunks: imatrix.imatrix.chunkCount,
      chunkSize: imatrix.imatrix.chunkSize,
    },
    coverage: imatrix && config.expertCount > 0 ? coverageReport(imatrix.imatrix, config) : undefined,
    evaluationText,
  };
}

function describeTensor(
  info: TensorInfo,
  { nf4 }: TensorRounding,
  imatrix: Imatrix | undefined,
): ReportTensor {
  const { kind, layer } = tensorKind(info.name);
  return {
    name: info.name,
    layer,
    projection: kind,
    shape: info.shape,
    weights: elementCount(info.shape),
    type: info.type,
    floor: floorOfTensor(info, imatrix),
    nf4,
  };
}

function describeFourBit(
  tensors: readonly ReportTensor[],
  errors: readonly RoundingError[],
  about: Pick<FourBitCheckpoint, 'label' | 'bytes'>,
): FourBitCheckpoint {
  const layers = [...new Set(tensors.flatMap(({ layer }) => layer ?? []))].sort((a, b) => a - b);
  return {
    ...about,
    error: meanError(tensors, errors),
    kept: tensors.flatMap(({ name }, i) => (errors[i]!.plain === 0 ? [name] : [])),
    layers: layers.map((layer) => {
      const places = [...tensors.keys()].filter((i) => tensors[i]!.layer === layer);
      const inLayer = places.map((i) => tensors[i]!);
      return {
        layer,
        plain: meanError(
          inLayer,
          inLayer.map(({ nf4 }) => nf4),
        ),
        error: meanError(
          inLayer,
          places.map((i) => errors[i]!),
        ),
      };
    }),
  };
}

function describeFileTensor(
  tensor: ReportTensor,
  { type, bytes }: TensorInfo,
  error: RoundingError,
): FileTensor {
  return { type, bits: bitsOfType(type), bytes, error, position: floorPosition(type, tensor.floor) };
}

function meanError(tensors: readonly ReportTensor[], errors: readonly RoundingError[]): RoundingError {
  return { weighted: mean(tensors, errors, 'weighted'), plain: mean(tensors, errors, 'plain') };
}

function mean(
  tensors: readonly ReportTensor[],
  errors: readonly RoundingError[],
  key: keyof RoundingError,
): number {
  const weights = tensors.reduce((sum, tensor) => sum + tensor.weights, 0);
  const total = tensors.reduce((sum, tensor, i) => sum + tensor.weights * errors[i]![key], 0);
  return weights > 0 ? total / weights : 0;
}

function text(source: Pick<TensorSource, 'metadata'>, key: string): string | undefined {
  const value = source.metadata.get(key)?.value;
  return typeof value === 'string' && value !== '' ? value : undefined;
}
