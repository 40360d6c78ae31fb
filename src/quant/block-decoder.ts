import { CriaError } from '../base/errors.js';
import { type GgmlType, ggmlType } from '../formats/ggml-types.js';
import type { BlockFormat } from './block-format.js';

export type Decode = BlockFormat['decode'];

/**
 * Decodes the block that begins at `source[from]` into the weights beginning at `target[to]`.
 *
 * The decoders calculate in doubles and round when they store. ggml calculates in floats, with the same
 * result: a block scale has 11 significant bits, a sub-block scale at most 7 and a code at most 7, of which no
 * format spends more than 24 together, so every product is exact in a float, and a format that adds an
 * offset rounds once, in that addition.
 */
export type DecodeBlock = (source: Uint8Array, from: number, target: Float32Array, to: number) => void;

/** The decoder of whole rows of blocks. It throws `block-count` when the two lengths do not belong together. */
export function perBlock(type: GgmlType, decodeBlock: DecodeBlock): Decode {
  const { blockSize, typeSize } = ggmlType(type);
  return (source, target) => {
    checkLengths(type, source, target);
    for (let from = 0, to = 0; from < source.length; from += typeSize, to += blockSize) {
      decodeBlock(source, from, target, to);
    }
  };
}

/** Throws `block-count` unless `source` is a whole number of blocks and `target` holds exactly their weights. */
export function checkLengths(type: GgmlType, source: Uint8Array, target: Float32Array): void {
  const { blockSize, typeSize } = ggmlType(type);
  if (source.length % typeSize !== 0 || (source.length / typeSize) * blockSize !== target.length) {
    throw new CriaError(
      'internal',
      'block-count',
      `${source.length} bytes of ${type} are not the blocks of ${target.length} weights ` +
        `(${typeSize} bytes for ${blockSize} weights)`,
    );
  }
}
