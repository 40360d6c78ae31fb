import type { Example } from './example.js';
import type { DataBatch } from './types.js';

/**
 * Examples side by side as one batch, in which each sequence sees only itself.
 *
 * @param pictureRows rows [n][width] of a picture blob
 * @param width floats of a row
 */
export async function buildBatch(
  examples: readonly Example[],
  pictureRows: (blob: number) => Promise<Float32Array>,
  width: number,
): Promise<DataBatch> {
  const all = examples.flatMap(({ sequences }) => sequences);
  const total = all.reduce((sum, { ids }) => sum + ids.length, 0);
  const ids = new Int32Array(total);
  const sequences = new Int32Array(total);
  const positions = new Int32Array(total);
  const targets = new Int32Array(total).fill(-1);
  const rows: Float32Array[] = [];
  let rowCount = 0;
  let at = 0;
  let sequence = 0;
  let trained = 0;
  for (const example of examples) {
    const firstRow = rowCount;
    for (const blob of example.pictures) {
      const picture = await pictureRows(blob);
      rows.push(picture);
      rowCount += picture.length / width;
    }
    for (const { ids: own, learnt } of example.sequences) {
      for (let i = 0; i < own.length; i++) {
        const id = own[i]!;
        ids[at + i] = id < 0 ? id - firstRow : id;
        sequences[at + i] = sequence;
        positions[at + i] = i;
        if (learnt[i + 1] !== 1) continue;
        targets[at + i] = own[i + 1]!;
        trained++;
      }
      at += own.length;
      sequence++;
    }
  }
  const pictures = rowCount > 0 && { pictures: joined(rows, rowCount * width) };
  return { ids, sequences, positions, targets, ...pictures, examples: examples.length, trained };
}

function joined(rows: readonly Float32Array[], length: number): Float32Array {
  const all = new Float32Array(length);
  let at = 0;
  for (const part of rows) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
