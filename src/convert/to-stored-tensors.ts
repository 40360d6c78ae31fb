import { CriaError } from '../base/errors.js';
import { quote } from '../base/text.js';
import { type GgmlType, rowBytes } from '../formats/ggml-types.js';
import type { SafetensorsInfo } from '../formats/safetensors/index.js';
import { rowCount, type TensorInfo, type TensorSource } from '../formats/tensor-source.js';
import { huggingFaceName } from './names.js';
import { convertRows } from './row-reader.js';
import { bytesOf, elementsOf, transposeStrip } from './transpose.js';

/** Bytes of one tensor from `offset` on. */
export interface StoredPiece {
  readonly name: string;
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** Tensors of a Hugging Face checkpoint that are made together, and their bytes: each piece is valid until the next. */
export interface StoredOutput {
  readonly infos: readonly SafetensorsInfo[];
  readonly pieces: () => AsyncGenerator<StoredPiece>;
}

export type FloatType = 'F32' | 'F16' | 'BF16';

/** What differs from the checkpoint that a GGUF file alone determines. */
export interface StoredNames {
  /** Name in the checkpoint of a text-only model's tensor. */
  readonly nameOf: (canonical: string) => string;
  /** Type of a tensor that GGUF files keep in F32, if it is known to have been another. */
  readonly typeOf: (canonical: string) => FloatType | undefined;
}

const PLAIN_NAMES: StoredNames = { nameOf: (canonical) => canonical, typeOf: () => undefined };

/** Bytes of rows read at once. */
const STRIP_BYTES = 4 * 2 ** 20;

/**
 * Tensors of a GGUF model, all unless told otherwise, under their Hugging Face names, experts turned back and fused.
 * Numbers stay as they are; a gate and an up projection of different types become F32. Memory is bounded by one
 * expert's matrix. Throws `quantized-input`, `unknown-tensor`.
 */
export function planStoredTensors(
  source: TensorSource,
  tensors: Iterable<TensorInfo> = source.tensors.values(),
  names: StoredNames = PLAIN_NAMES,
): StoredOutput[] {
  const outputs: StoredOutput[] = [];
  const fused = new Map<string, TensorInfo[]>();
  for (const tensor of tensors) {
    // Follows from config.json.
    if (tensor.name === 'rope_freqs.weight') continue;
    const name = huggingFaceName(tensor.name);
    if (name === undefined) {
      const message = `'${source.path}': found tensor ${quote(tensor.name)}, which a Llama 4 text model does not have`;
      throw new CriaError('unsupported', 'unknown-tensor', message);
    }
    floatType(source.path, tensor);
    if (tensor.shape.length === 3) fused.set(name, [...(fused.get(name) ?? []), tensor]);
    else outputs.push(plainOutput(source, name, tensor, names));
  }
  for (const [name, halves] of fused) {
    // The order of the two halves is gate, up, which is also alphabetical.
    outputs.push(
      fusedOutput(
        source,
        names.nameOf(name),
        halves.toSorted((a, b) => (a.name < b.name ? -1 : 1)),
      ),
    );
  }
  return outputs;
}

function plainOutput(
  source: TensorSource,
  canonical: string,
  tensor: TensorInfo,
  { nameOf, typeOf }: StoredNames,
): StoredOutput {
  const columns = tensor.shape[0]!;
  const rows = rowCount(tensor.shape);
  const found = floatType(source.path, tensor);
  // Only F32 may be what a narrower type was widened to.
  const dtype = found === 'F32' ? (typeOf(canonical) ?? found) : found;
  return rowsOutput(source, tensor, 0, {
    name: nameOf(canonical),
    dtype,
    shape: [...tensor.shape].reverse(),
    bytes: rows * rowBytes(dtype, columns),
  });
}

/** Rows of a tensor, from `firstRow` on as many as fill `info`, as a tensor of their own. */
export function rowsOutput(
  source: TensorSource,
  tensor: TensorInfo,
  firstRow: number,
  info: SafetensorsInfo,
): StoredOutput {
  const columns = tensor.shape[0]!;
  const type = info.dtype as FloatType;
  const size = rowBytes(type, columns);
  return {
    infos: [info],
    async *pieces() {
      for await (const { strip, row, count } of strips(source, tensor, firstRow, info.bytes / size)) {
        let bytes = strip;
        if (type !== tensor.type) {
          bytes = new Uint8Array(count * size);
          convertRows(tensor.type, strip, type, bytes, columns);
        }
        yield { name: info.name, offset: row * size, bytes };
      }
    },
  };
}

/** `[experts, columns, rows of all halves]` from `[columns, rows, experts]` (GGUF order) of each half. */
function fusedOutput(source: TensorSource, name: string, halves: readonly TensorInfo[]): StoredOutput {
  const [columns, rows, experts] = halves[0]!.shape as [number, number, number];
  const width = rows * halves.length;
  const types = new Set(halves.map((half) => floatType(source.path, half)));
  const dtype: FloatType = types.size === 1 ? [...types][0]! : 'F32';
  const bytes = rowBytes(dtype, columns) * width * experts;
  return {
    infos: [{ name, dtype, shape: [experts, columns, width], bytes }],
    async *pieces() {
      const matrix = elementsOf(dtype, columns * width);
      for (let expert = 0; expert < experts; expert++) {
        for (const [index, half] of halves.entries()) {
          for await (const { strip, row, count } of strips(source, half, expert * rows, rows)) {
            const turned = elementsOf(dtype, count * columns);
            convertRows(half.type, strip, dtype, bytesOf(turned), columns);
            transposeStrip(turned, columns, 0, columns, matrix, width, index * rows + row, count);
          }
        }
        yield { name, offset: (bytes / experts) * expert, bytes: bytesOf(matrix) };
      }
    },
  };
}

/**
 * Rows `[start, start + rows)` of a tensor in strips, each but the last of a multiple of `unit` rows; `row` counts
 * from `start`.
 */
export async function* strips(
  source: TensorSource,
  { name, type, shape }: TensorInfo,
  start: number,
  rows: number,
  unit = 1,
): AsyncGenerator<{ strip: Uint8Array; row: number; count: number }> {
  const size = rowBytes(type, shape[0]!);
  const step = Math.min(rows, Math.max(1, Math.floor(STRIP_BYTES / size / unit)) * unit);
  const buffer = new Uint8Array(step * size);
  for (let row = 0; row < rows; row += step) {
    const count = Math.min(step, rows - row);
    const strip = buffer.subarray(0, count * size);
    await source.readRows(name, start + row, count, strip);
    yield { strip, row, count };
  }
}

/** Throws `quantized-input` for anything but floats. */
export function floatType(path: string, { name, type }: { name: string; type: GgmlType }): FloatType {
  if (type === 'F32' || type === 'F16' || type === 'BF16') return type;
  throw new CriaError(
    'unsupported',
    'quantized-input',
    `'${path}': expected F32, F16 or BF16 tensors to make a checkpoint from, found ${type} in ${name}; use the file it was quantized from`,
  );
}
