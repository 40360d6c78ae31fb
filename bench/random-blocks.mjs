// Random blocks of any ggml type, as fast as a disk takes them: a few megabytes are made once and repeated in pieces
// that start anywhere, so that no two rows of a matrix are the same.
import { ggmlType } from '../dist/formats/ggml-types.js';
import { f32ToF16 } from '../dist/quant/float.js';
import { blockFormat } from '../dist/quant/index.js';

/** Standard deviation of the weights: about what trained models of this width have. */
const DEVIATION = 0.02;
const POOL_BYTES = 4 * 2 ** 20;
const PIECE_BYTES = 2 ** 20;

/**
 * Where the blocks keep their super-scale `d` as a half, and the offset that goes with it as a half: `[byte, ratio]`,
 * the ratio of offset to scale that makes the weights' mean zero. All other bytes may be anything: codes, entries of
 * grids, small scales.
 */
const SCALES = {
  Q4_0: { d: 0 },
  Q4_1: { d: 0, offset: [2, -7.5] },
  Q5_0: { d: 0 },
  Q5_1: { d: 0, offset: [2, -15.5] },
  Q8_0: { d: 0 },
  Q2_K: { d: 80, offset: [82, 1.5] },
  Q3_K: { d: 108 },
  Q4_K: { d: 0, offset: [2, 7.5] },
  Q5_K: { d: 0, offset: [2, 15.5] },
  Q6_K: { d: 208 },
  IQ1_S: { d: 0 },
  IQ2_XXS: { d: 0 },
  IQ2_XS: { d: 0 },
  IQ2_S: { d: 0 },
  IQ3_XXS: { d: 0 },
  IQ3_S: { d: 0 },
  IQ4_NL: { d: 0 },
  IQ4_XS: { d: 0 },
  TQ1_0: { d: 52 },
  TQ2_0: { d: 64 },
  Q1_0: { d: 0 },
  Q2_0: { d: 0 },
};

/** Generators of one seed's random weights, in pieces of `Uint8Array` that are valid until the next. */
export class RandomBlocks {
  #state;
  #pools = new Map();

  constructor(seed = 1) {
    this.#state = Math.imul(seed, 0x9e3779b9) | 1;
  }

  /** The bytes of a tensor of `bytes` bytes. */
  *tensor(type, bytes) {
    const { typeSize } = ggmlType(type);
    const pool = this.#pool(type);
    const longest = Math.floor(PIECE_BYTES / typeSize) * typeSize;
    for (let done = 0; done < bytes; ) {
      const start = (this.#word() % Math.floor(pool.length / 2 / typeSize)) * typeSize;
      const piece = pool.subarray(start, start + Math.min(bytes - done, longest));
      yield piece;
      done += piece.length;
    }
  }

  #pool(type) {
    if (!this.#pools.has(type)) {
      const { typeSize, blockSize } = ggmlType(type);
      const blocks = Math.floor(POOL_BYTES / typeSize);
      const pool = new Uint8Array(blocks * typeSize);
      if (blockSize === 1) this.#fillFloats(type, pool);
      else this.#fillBlocks(type, pool, typeSize, blockSize);
      this.#pools.set(type, pool);
    }
    return this.#pools.get(type);
  }

  /** Bell-shaped floats: sums of four uniform numbers, whose variance is a third. */
  #fillFloats(type, pool) {
    const count = pool.length / ggmlType(type).typeSize;
    const factor = DEVIATION * Math.sqrt(3);
    const uniform = () => this.#word() / 2 ** 32 - 0.5;
    const floats = Float32Array.from(
      { length: count },
      () => (uniform() + uniform() + uniform() + uniform()) * factor,
    );
    blockFormat(type).encode(floats, pool, count);
  }

  #fillBlocks(type, pool, typeSize, blockSize) {
    const words = new Uint32Array(pool.length >> 2);
    for (let i = 0; i < words.length; i++) words[i] = this.#word();
    pool.set(new Uint8Array(words.buffer));
    if (type === 'Q8_0') {
      // Encoders never give -128.
      for (let i = 0; i < pool.length; i++) if (pool[i] === 128) pool[i] = 0;
    }
    const set = (d) => {
      for (let at = 0; at < pool.length; at += typeSize) setScale(type, pool, at, d);
    };
    // Decoded with a scale of one, the blocks say which scale they need.
    set(1);
    const sample = pool.subarray(0, 512 * typeSize);
    const weights = new Float32Array(512 * blockSize);
    blockFormat(type).decode(sample, weights);
    const square = weights.reduce((sum, weight) => sum + weight * weight, 0) / weights.length;
    set(DEVIATION / Math.sqrt(square));
  }

  /** 32 random bits (xorshift; Marsaglia 2003). */
  #word() {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return x >>> 0;
  }
}

function setScale(type, pool, at, d) {
  if (type === 'IQ1_M') {
    // A quarter of the half in the high bits of each of four words.
    const half = f32ToF16(d);
    for (let k = 0; k < 4; k++) {
      const byte = at + 49 + 2 * k;
      pool[byte] = (pool[byte] & 15) | (((half >> (4 * k)) & 15) << 4);
    }
    return;
  }
  const exponent = Math.round(Math.log2(d));
  if (type === 'MXFP4') {
    pool[at] = 127 + exponent;
    return;
  }
  if (type === 'NVFP4') {
    // Four scales, floats with four bits of exponent and three of fraction.
    for (let k = 0; k < 4; k++) pool[at + k] = (Math.max(1, 7 + exponent) << 3) | (pool[at + k] & 7);
    return;
  }
  const places = SCALES[type];
  if (places === undefined) throw new Error(`no random blocks for ${type}`);
  setHalf(pool, at + places.d, d);
  if (places.offset) setHalf(pool, at + places.offset[0], d * places.offset[1]);
}

function setHalf(pool, at, value) {
  const half = f32ToF16(value);
  pool[at] = half & 255;
  pool[at + 1] = half >> 8;
}
