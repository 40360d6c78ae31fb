import { CriaError } from '../base/errors.js';
import { quote } from '../base/text.js';
import { type GgmlType, ggmlType, rowBytes } from '../formats/ggml-types.js';
import { rowCount, type TensorInfo } from '../formats/tensor-source.js';
import type { TensorShapes } from './expected-tensors.js';
import type { ConvertType } from './metadata.js';
import { canonicalName, ggufNames, isVisionName } from './names.js';

/** A tensor as it lies in a checkpoint: row-major, `shape` in PyTorch's order. */
export interface StoredTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Whether the numbers are products of codes and scales that no 16-bit type holds exactly. */
  readonly scaled?: boolean;
}

/** Consecutive rows of one stored tensor, all of whose dimensions but the last count as rows. */
export interface RowPart {
  readonly name: string;
  readonly firstRow: number;
  readonly rows: number;
  /** Type of the stored numbers. */
  readonly type: GgmlType;
}

/**
 * Where a tensor's rows come from.
 *
 * - `rows`: stored rows, part after part
 * - `transposed`: `[experts, columns, width]` of `type` as stored; row `r` of expert `e` is column `firstColumn + r`
 * - `values`: computed
 */
export type Layout =
  | { readonly kind: 'rows'; readonly parts: readonly RowPart[] }
  | {
      readonly kind: 'transposed';
      readonly name: string;
      readonly width: number;
      readonly firstColumn: number;
      readonly type: GgmlType;
    }
  | { readonly kind: 'values'; readonly values: Float32Array };

/** A tensor of the GGUF view and how to get it from the checkpoint. */
export interface PlannedTensor {
  readonly info: TensorInfo;
  readonly layout: Layout;
}

export interface PlanOptions {
  /** Shown in messages. */
  readonly folder: string;
  readonly stored: ReadonlyMap<string, StoredTensor>;
  readonly part: 'text' | 'vision';
  readonly expected: TensorShapes;
  /** Expected tensors that may be missing. */
  readonly optional: ReadonlySet<string>;
  readonly type: ConvertType;
  /** Type of large tensors that are `scaled`. */
  readonly scaledType: ConvertType;
}

/**
 * Matches a checkpoint's tensors with those a GGUF file has, in the order of llama.cpp's converter: that of
 * `stored`. Throws `unknown-tensor`, `wrong-shape`, `missing-tensor`, `duplicate-tensor`, or `unsupported-dtype`
 * for numbers that are not 16-bit or 32-bit floats.
 */
export function planTensors(options: PlanOptions): Map<string, PlannedTensor> {
  const planned = new Map<string, PlannedTensor>();
  const experts = new Map<string, ExpertMatrix[]>();
  for (const [name, stored] of options.stored) {
    const canonical = canonicalName(name);
    if (isVisionName(canonical) !== (options.part === 'vision')) continue;
    // Tables that old versions of transformers saved though they follow from the configuration.
    if (canonical.endsWith('.rotary_emb.inv_freq')) continue;
    const expert = expertMatrix(canonical);
    if (expert) {
      const matrices = experts.get(expert.gguf) ?? [];
      matrices.push({ ...expert, name, stored });
      experts.set(expert.gguf, matrices);
      // Holds the place in the order; replaced when all experts are known.
      if (matrices.length === 1) add(options, planned, expert.gguf, stored, { kind: 'rows', parts: [] });
      continue;
    }
    const allExperts = joinedExperts(canonical);
    if (allExperts !== undefined) {
      add(options, planned, allExperts, stored, joinedLayout(options, allExperts, name, stored));
      continue;
    }
    const targets = ggufNames(canonical);
    if (targets.length === 0) throw unknownTensor(options.folder, name);
    for (const [index, gguf] of targets.entries()) {
      const shape = options.expected.get(gguf);
      if (!shape) throw unknownTensor(options.folder, name);
      const fused = shape.length === 3;
      const width = fused ? shape[1]! * targets.length : 0;
      checkShape(options.folder, name, stored, fused ? [shape[2]!, shape[0]!, width] : [...shape].reverse());
      const type = storedTypeOf(options.folder, name, stored.dtype);
      const layout: Layout = fused
        ? { kind: 'transposed', name, width, firstColumn: index * shape[1]!, type }
        : { kind: 'rows', parts: [{ name, firstRow: 0, rows: rowCount(shape), type }] };
      add(options, planned, gguf, stored, layout);
    }
  }
  for (const [gguf, matrices] of experts) {
    const any = matrices.find(({ stored }) => stored.scaled) ?? matrices[0]!;
    planned.set(gguf, plannedTensor(options, gguf, any.stored, stackExperts(options, gguf, matrices)));
  }
  checkComplete(options, planned);
  return planned;
}

interface ExpertMatrix {
  readonly gguf: string;
  readonly expert: number;
  readonly name: string;
  readonly stored: StoredTensor;
}

/**
 * One expert's projection in checkpoints that keep experts apart: a linear layer, `[outputs, inputs]`, in the spelling
 * of transformers (`experts.3.gate_proj`) or of Axolotl (`experts.gate_projs.3`).
 */
function expertMatrix(canonical: string): { gguf: string; expert: number } | undefined {
  const match =
    /^model\.layers\.(\d{1,5})\.feed_forward\.experts\.(?:(\d{1,5})\.(gate|up|down)_proj|(gate|up|down)_projs\.(\d{1,5}))\.weight$/.exec(
      canonical,
    );
  return match
    ? {
        gguf: `blk.${Number(match[1])}.ffn_${match[3] ?? match[4]}_exps.weight`,
        expert: Number(match[2] ?? match[5]),
      }
    : undefined;
}

/** The projection of all experts of a layer as one linear layer, as Unsloth's first 4-bit checkpoints have it. */
function joinedExperts(canonical: string): string | undefined {
  const match = /^model\.layers\.(\d{1,5})\.feed_forward\.experts\.(gate|up|down)_proj\.weight$/.exec(
    canonical,
  );
  return match ? `blk.${Number(match[1])}.ffn_${match[2]}_exps.weight` : undefined;
}

/**
 * Experts come one after the other; whether each is `[outputs, inputs]` or `[inputs, outputs]` is told by the sizes.
 * Throws `ambiguous-layout` (unsupported) when these are equal.
 */
function joinedLayout(options: PlanOptions, gguf: string, name: string, stored: StoredTensor): Layout {
  const [columns, rows, experts] = (options.expected.get(gguf) ?? []) as number[];
  if (columns === undefined || rows === undefined || experts === undefined) {
    throw unknownTensor(options.folder, name);
  }
  const type = storedTypeOf(options.folder, name, stored.dtype);
  const is = (...shapes: number[][]) =>
    shapes.some(
      (shape) => shape.length === stored.shape.length && shape.every((n, i) => n === stored.shape[i]),
    );
  const turned = is([experts, columns, rows], [experts * columns, rows]);
  const straight = is([experts, rows, columns], [experts * rows, columns]);
  if (turned && straight) {
    const message = `${options.folder}: expected ${name} to show by its sizes which are rows, found ${rows} × ${columns}`;
    throw new CriaError('unsupported', 'ambiguous-layout', message);
  }
  if (turned) return { kind: 'transposed', name, width: rows, firstColumn: 0, type };
  if (!straight) checkShape(options.folder, name, stored, [experts, rows, columns]);
  return { kind: 'rows', parts: [{ name, firstRow: 0, rows: rows * experts, type }] };
}

function stackExperts(options: PlanOptions, gguf: string, matrices: readonly ExpertMatrix[]): Layout {
  const [columns, rows, count] = options.expected.get(gguf)! as [number, number, number];
  const parts = new Array<RowPart | undefined>(count).fill(undefined);
  for (const { expert, name, stored } of matrices) {
    if (expert >= count) throw unknownTensor(options.folder, name);
    checkShape(options.folder, name, stored, [rows, columns]);
    parts[expert] = { name, firstRow: 0, rows, type: storedTypeOf(options.folder, name, stored.dtype) };
  }
  return {
    kind: 'rows',
    parts: parts.map((part, expert) => {
      if (part) return part;
      throw missing(options.folder, `expert ${expert} of ${gguf}`);
    }),
  };
}

function add(
  options: PlanOptions,
  planned: Map<string, PlannedTensor>,
  gguf: string,
  stored: StoredTensor,
  layout: Layout,
): void {
  const { folder, expected } = options;
  if (!expected.has(gguf)) throw unknownTensor(folder, gguf);
  if (planned.has(gguf)) {
    throw new CriaError(
      'bad-file',
      'duplicate-tensor',
      `${folder}: expected one tensor for ${gguf}, found two`,
    );
  }
  planned.set(gguf, plannedTensor(options, gguf, stored, layout));
}

function plannedTensor(
  { expected, type, scaledType }: PlanOptions,
  gguf: string,
  { scaled }: StoredTensor,
  layout: Layout,
): PlannedTensor {
  const shape = expected.get(gguf)!;
  return { info: tensorInfo(gguf, shape, targetType(gguf, shape, scaled ? scaledType : type)), layout };
}

export function tensorInfo(name: string, shape: readonly number[], type: GgmlType): TensorInfo {
  return { name, type, shape, bytes: rowCount(shape) * rowBytes(type, shape[0]!) };
}

/** The type llama.cpp's converter (v0.5.0, `prepare_tensors`) gives a tensor in a file of type `type`. */
function targetType(name: string, shape: readonly number[], type: ConvertType): GgmlType {
  const always32 =
    shape.length === 1 ||
    !name.endsWith('.weight') ||
    name.endsWith('_norm.weight') ||
    name.endsWith('.ffn_gate_inp.weight') ||
    name === 'v.position_embd.weight';
  if (always32) return 'F32';
  if (name === 'v.patch_embd.weight') return type === 'f16' ? 'F16' : 'F32';
  const wanted = type.toUpperCase() as Uppercase<ConvertType>;
  return shape[0]! % ggmlType(wanted).blockSize === 0 ? wanted : 'F16';
}

function storedTypeOf(folder: string, name: string, dtype: string): GgmlType {
  if (dtype === 'BF16' || dtype === 'F16' || dtype === 'F32') return dtype;
  throw new CriaError(
    'unsupported',
    'unsupported-dtype',
    `${folder}: expected ${name} to hold BF16, F16 or F32 numbers, found ${dtype}`,
  );
}

function checkShape(folder: string, name: string, stored: StoredTensor, expected: readonly number[]): void {
  if (stored.shape.length === expected.length && stored.shape.every((n, i) => n === expected[i])) return;
  throw new CriaError(
    'bad-file',
    'wrong-shape',
    `${folder}: expected ${name} to be [${expected.join(', ')}], found [${stored.shape.join(', ')}]`,
  );
}

function checkComplete(options: PlanOptions, planned: ReadonlyMap<string, unknown>): void {
  const absent = [...options.expected.keys()].filter(
    (name) => !planned.has(name) && !options.optional.has(name),
  );
  if (absent.length === 0) return;
  const more = absent.length > 1 ? ` and ${absent.length - 1} more` : '';
  throw missing(options.folder, `${absent[0]}${more}`);
}

function missing(folder: string, what: string): CriaError {
  return new CriaError('bad-file', 'missing-tensor', `${folder}: the checkpoint has no tensor for ${what}`);
}

function unknownTensor(folder: string, name: string): CriaError {
  const message = `${folder}: found tensor ${quote(name)}, which a model of this configuration does not have`;
  return new CriaError('unsupported', 'unknown-tensor', message);
}
