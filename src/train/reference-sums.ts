import { createHash } from 'node:crypto';
import type { DataBatch, TrainingData } from './data/types.js';
import { sequenceSums } from './preference.js';
import type { TrainableModel } from './trainable-model.js';

/**
 * −log p that the model gave to each sequence before it was trained, for DPO of every weight, where there is no base
 * left beside the trained model to ask. Sequences are known by their content, since every epoch has another order.
 */
export class ReferenceSums {
  readonly #sums: ReadonlyMap<string, number>;

  private constructor(sums: ReadonlyMap<string, number>) {
    this.#sums = sums;
  }

  /** Goes over all the data once, with the model as it is. */
  static async measure(
    model: Pick<TrainableModel, 'likelihoods'>,
    data: Pick<TrainingData, 'epoch' | 'validation'>,
    seed: number,
    signal?: AbortSignal,
  ): Promise<ReferenceSums> {
    const found = new Map<string, number>();
    for (const batches of [data.epoch(seed, 0), data.validation()]) {
      for await (const batch of batches) {
        signal?.throwIfAborted();
        const sums = sequenceSums(batch, await model.likelihoods(batch, { adapters: true }));
        for (const [sequence, key] of keysOf(batch).entries()) found.set(key, sums[sequence]!);
      }
    }
    return new ReferenceSums(found);
  }

  of(batch: DataBatch): Float64Array {
    return Float64Array.from(keysOf(batch), (key) => this.#sums.get(key)!);
  }
}

/** A key of the content of each sequence. */
function keysOf({ ids, targets, sequences, pictures }: DataBatch): string[] {
  const hashes = new Map<number, ReturnType<typeof createHash>>();
  const rows = ids.reduce((most, id) => Math.max(most, -id), 0);
  const width = rows > 0 ? (pictures?.length ?? 0) / rows : 0;
  for (const [token, sequence] of sequences.entries()) {
    if (!hashes.has(sequence)) hashes.set(sequence, createHash('sha256'));
    const hash = hashes.get(sequence)!;
    const id = ids[token]!;
    hash.update(`${Math.max(id, -1)} ${targets[token]};`);
    if (id < 0 && pictures)
      hash.update(new Uint8Array(pictures.slice((-1 - id) * width, -id * width).buffer));
  }
  return Array.from(hashes.values(), (hash) => hash.digest('base64'));
}
