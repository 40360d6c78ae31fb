import { type GgmlType, rowBytes } from '../../formats/ggml-types.js';
import { openSafetensors, type SafetensorsFile } from '../../formats/safetensors/index.js';
import { blockFormat } from '../../quant/index.js';
import type { StoredTensor } from '../tensor-plan.js';
import { float8Weights } from './float8-weights.js';
import { fourBitWeights } from './four-bit-weights.js';
import { int8Weights } from './int8-weights.js';
import type { QuantizedWeight } from './quantized-weight.js';
import { refusePackedWeights } from './unsupported-weights.js';

/** A tensor of a checkpoint as the numbers it stands for. */
export interface StoredWeight extends StoredTensor {
  /** Index of the file it is in. */
  readonly part: number;
  /** Whether the file has it in fewer bits. */
  readonly quantized: boolean;
}

/** Numbers decoded at once. */
const STEP = 2 ** 20;

/**
 * The tensors of a checkpoint's files, those of bitsandbytes (4-bit, 8-bit) and of FP8 checkpoints as the floats
 * they stand for. Which tensors are quantized is told by the tensors themselves, not by `config.json`.
 */
export class StoredWeights {
  readonly tensors: ReadonlyMap<string, StoredWeight>;
  readonly #file: SafetensorsFile;
  readonly #quantized: ReadonlyMap<string, QuantizedWeight>;

  private constructor(file: SafetensorsFile, quantized: ReadonlyMap<string, QuantizedWeight>) {
    this.#file = file;
    this.#quantized = quantized;
    const consumed = new Set([...quantized.values()].flatMap(({ storedAs }) => storedAs));
    const tensors = new Map<string, StoredWeight>();
    for (const [name, { dtype, shape, part }] of file.tensors) {
      const found = quantized.get(name);
      if (found) {
        const { type, shape: logical, scaled } = found;
        tensors.set(name, { dtype: type, shape: logical, part, scaled, quantized: true });
      } else if (!consumed.has(name) && !isActivationScale(name)) {
        tensors.set(name, { dtype, shape, part, quantized: false });
      }
    }
    this.tensors = tensors;
  }

  /**
   * Opens the files of a folder; of quantized tensors only the descriptions are read. Throws what `openSafetensors`
   * throws, `bad-quant-state`, `bad-quantized-tensor` (bad-file), `unsupported-quantization`.
   */
  static async open(folder: string): Promise<StoredWeights> {
    const file = await openSafetensors(folder);
    try {
      refusePackedWeights(file);
      const weights = [...(await fourBitWeights(file)), ...(await int8Weights(file)), ...float8Weights(file)];
      return new StoredWeights(file, new Map(weights.map((weight) => [weight.name, weight])));
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Bytes of a tensor, as its dtype says, from `byteOffset` on; both ends are borders of numbers. */
  async read(name: string, byteOffset: number, target: Uint8Array): Promise<void> {
    const weight = this.#quantized.get(name);
    if (weight === undefined) {
      await this.#file.read(name, byteOffset, target);
      return;
    }
    const type: GgmlType = weight.type;
    const size = rowBytes(type, 1);
    const count = target.length / size;
    const values = new Float32Array(Math.min(count, STEP));
    for (let done = 0; done < count; done += values.length) {
      const part = values.subarray(0, Math.min(values.length, count - done));
      await weight.decode(byteOffset / size + done, part);
      const bytes = target.subarray(done * size, (done + part.length) * size);
      blockFormat(type).encode!(part, bytes, part.length);
    }
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

/** Scales of activations and of the cache, which weights do not depend on. */
function isActivationScale(name: string): boolean {
  return /\.(input_scale|input_scale_ub|[kv]_scale|output_scale)$/.test(name);
}
