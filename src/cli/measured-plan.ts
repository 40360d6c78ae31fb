import { basename, dirname, join } from 'node:path';
import { CriaError } from '../base/errors.js';
import { computeThreads } from '../base/processors.js';
import { configFromMetadata } from '../convert/llama4-config.js';
import type { CalibrationText } from '../dynamic/calibrate.js';
import { candidatesFor } from '../dynamic/candidates.js';
import { SCORED_SHARE } from '../dynamic/divergence-probe.js';
import { largestFileFor } from '../dynamic/fit-target.js';
import {
  MEASURE_CONTEXT,
  type Measurements,
  type MeasureOptions,
  measureModel,
} from '../dynamic/measurements.js';
import { planQuantization, type QuantizationPlan, type SizeTarget } from '../dynamic/plan-quantization.js';
import type { TensorProvenance } from '../dynamic/provenance.js';
import { sensitivityOf } from '../dynamic/sensitivity.js';
import type { TypePlan } from '../dynamic/type-plan.js';
import type { Imatrix } from '../formats/imatrix/index.js';
import type { TensorSource } from '../formats/tensor-source.js';
import { tokenizerFromGguf } from '../model/tokenizer/index.js';
import { encodeCalibrationTexts, readTextFiles } from './calibration-texts.js';
import type { Terminal } from './verb.js';
import { withProgress } from './work-progress.js';

/** The options of `cria quantize` that give a size instead of types. */
export interface TargetValues {
  readonly targetSize: number | undefined;
  readonly targetBpw: number | undefined;
  readonly fitVram: number | undefined;
  readonly fitRam: number | undefined;
  readonly files: readonly string[];
  /** Windows of calibration text to measure on. */
  readonly chunks: number;
  readonly imatrix: string | undefined;
  readonly threads: number | undefined;
}

export interface MeasuredPlan {
  readonly plan: QuantizationPlan;
  readonly tensors: ReadonlyMap<string, TensorProvenance>;
  readonly textSha256: readonly string[];
}

export interface MeasuredPlanInput {
  readonly imatrix: Imatrix | undefined;
  /** Types the user gave for single tensors. */
  readonly fixed: TypePlan;
  /** Size of the whole output with these types and this further metadata. */
  readonly fileBytes: (plan: TypePlan, tensors: ReadonlyMap<string, TensorProvenance>) => number;
}

/** The target that the options give, or undefined when they give types. */
export function targetOf(source: TensorSource, values: TargetValues): SizeTarget | undefined {
  const { targetSize, targetBpw, fitVram, fitRam } = values;
  if (targetSize !== undefined) return { bytes: targetSize };
  if (targetBpw !== undefined) return { bitsPerWeight: targetBpw };
  if (fitVram === undefined && fitRam === undefined) return undefined;
  const config = configFromMetadata(source.metadata, source.tensors, source.path);
  return { bytes: largestFileFor({ vram: fitVram, ram: fitRam }, config) };
}

/**
 * Measures the model on calibration text and chooses each tensor's type under the target. What was measured is kept
 * beside the importance matrix (or the model), for the next target.
 */
export async function measuredPlan(
  terminal: Terminal,
  source: TensorSource,
  target: SizeTarget,
  values: TargetValues,
  input: MeasuredPlanInput,
): Promise<MeasuredPlan> {
  if (values.files.length === 0) {
    throw new CriaError(
      'usage',
      'missing-argument',
      'missing calibration text: a target size needs -f FILE, to measure how the model answers to rounding',
    );
  }
  const { imatrix, fixed } = input;
  const { measurements, texts } = await measureOnTexts(terminal, source, values, { imatrix });
  const tensors = new Map(
    [...measurements].map(([name, { perturbations }]) => {
      const { floor } = candidatesFor(source.tensors.get(name)!, { imatrix });
      return [name, { sensitivity: sensitivityOf(perturbations), floor }];
    }),
  );
  const plan = planQuantization([...source.tensors.values()], target, {
    measurements,
    candidates: { imatrix },
    fixed,
    fileBytes: (types) => input.fileBytes(types, tensors),
  });
  return { plan, tensors, textSha256: texts.map(({ sha256 = '' }) => sha256) };
}

/** Measures the tensors of a model on calibration text, or only some of them. */
export async function measureOnTexts(
  terminal: Terminal,
  source: TensorSource,
  values: Pick<TargetValues, 'files' | 'chunks' | 'imatrix' | 'threads'>,
  options: Pick<MeasureOptions, 'imatrix' | 'only' | 'candidates'>,
): Promise<{ measurements: Measurements; texts: readonly CalibrationText[] }> {
  const { metadata } = source;
  const tokenizer = tokenizerFromGguf(metadata);
  const template = metadata.get('tokenizer.chat_template');
  const chatTemplate = template?.type === 'string' ? template.value : undefined;
  const files = await readTextFiles(terminal, values.files);
  const texts = encodeCalibrationTexts(files, { tokenizer, chatTemplate, metadata }, false);
  const measurements = await withProgress(terminal, { label: 'measuring', unit: 'items' }, (onProgress) =>
    measureModel(source, {
      ...options,
      ids: texts.flatMap(({ ids }) => [...ids]),
      bosId: tokenizer.bosId,
      cachePath: cachePath(values.imatrix ?? source.path),
      positions: values.chunks * MEASURE_CONTEXT * SCORED_SHARE,
      threads: values.threads ?? computeThreads(),
      onProgress,
      signal: terminal.signal,
    }),
  );
  return { measurements, texts };
}

/** Beside a file, `NAME.sensitivity.json`; a checkpoint folder gets it beside itself, not among its files. */
function cachePath(path: string): string {
  return join(dirname(path), `${basename(path)}.sensitivity.json`);
}
