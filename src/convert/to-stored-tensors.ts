import { CriaError } from '../base/errors.js';
import { quote } from '../base/text.js';
import { type GgmlType, rowBytes } from '../formats/ggml-types.js';
import type { SafetensorsInfo } from '../formats/safetensors/index.js';
import { rowCount, type TensorInfo, type TensorSource } from '../formats/tensor-source.js';
import { huggingFaceName } from './names.js';
import { convertRows } from './row-reader.js';
import { bytesOf, elementsOf, transposeStrip } from './transpose.js';

/** A tensor of a Hugging Face checkpoint and its bytes, in consecutive pieces each valid until the next. */
export interface StoredOutput {
  readonly info: SafetensorsInfo;
  readonly pieces: () => AsyncGenerator<Uint8Array>;
}

type FloatType = 'F32' | 'F16' | 'BF16';

/** Bytes of rows read at once. */
const STRIP_BYTES = 4 * 2 ** 20;

/**
 * The tensors of a GGUF model under their Hugging Face names, experts turned back and fused. Numbers stay as they
 * are; a gate and an up projection of different types become F32. Memory is bounded by one expert's matrix.
 * Throws `quantized-input`, `unknown-tensor`.
 */
export function planStoredTensors(source: TensorSource): StoredOutput[] {
  const outputs: StoredOutput[] = [];
  const fused = new Map<string, TensorInfo[]>();
  for (const tensor of source.tensors.values()) {
    // Follows from config.json.
    if (tensor.name === 'rope_freqs.weight') continue;
    const name = huggingFaceName(tensor.name);
    if (name === undefined) {
      const message = `'${source.path}': found tensor ${quote(tensor.name)}, which a Llama 4 text model does not have`;
      throw new CriaError('unsupported', 'unknown-tensor', message);
    }
    floatType(source.path, tensor);
    if (tensor.shape.length === 3) fused.set(name, [...(fused.get(name) ?? []), tensor]);
    else outputs.push(plainOutput(source, name, tensor));
  }
  for (const [name, halves] of fused) {
    // The order of the two halves is gate, up, which is also alphabetical.
    outputs.push(
      fusedOutput(
        source,
        name,
        halves.toSorted((a, b) => (a.name < b.name ? -1 : 1)),
      ),
    );
  }
  return outputs;
}

function plainOutput(source: TensorSource, name: string, tensor: TensorInfo): StoredOutput {
  const shape = [...tensor.shape].reverse();
  return {
    info: { name, dtype: floatType(source.path, tensor), shape, bytes: tensor.bytes },
    async *pieces() {
      for await (const { strip } of strips(source, tensor, 0, rowCount(tensor.shape))) yield strip;
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
    info: { name, dtype, shape: [experts, columns, width], bytes },
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
        yield bytesOf(matrix);
      }
    },
  };
}

/** Rows `[start, start + rows)` of a tensor in strips; `row` counts from `start`. */
async function* strips(
  source: TensorSource,
  { name, type, shape }: TensorInfo,
  start: number,
  rows: number,
): AsyncGenerator<{ strip: Uint8Array; row: number; count: number }> {
  const size = rowBytes(type, shape[0]!);
  const step = Math.min(rows, Math.max(1, Math.floor(STRIP_BYTES / size)));
  const buffer = new Uint8Array(step * size);
  for (let row = 0; row < rows; row += step) {
    const count = Math.min(step, rows - row);
    const strip = buffer.subarray(0, count * size);
    await source.readRows(name, start + row, count, strip);
    yield { strip, row, count };
  }
}

function floatType(path: string, { name, type }: { name: string; type: GgmlType }): FloatType {
  if (type === 'F32' || type === 'F16' || type === 'BF16') return type;
  throw new CriaError(
    'unsupported',
    'quantized-input',
    `'${path}': expected F32, F16 or BF16 tensors to make a checkpoint from, found ${type} in ${name}; use the file it was quantized from`,
  );
}
