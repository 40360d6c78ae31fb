/**
 * Seeded random numbers: xoshiro128** 1.1 (Blackman and Vigna), its state filled from the seed by splitmix32. The
 * sequence is part of what a seed means and does not change between versions.
 */
export class Random {
  readonly #state: Uint32Array;

  /** `seed`: an integer from 0 to 2^53 − 1. */
  constructor(seed: number) {
    const low = splitmix32(seed >>> 0);
    const high = splitmix32(Math.floor(seed / 2 ** 32));
    this.#state = Uint32Array.from([low(), low(), high(), high()]);
  }

  /** Uniform in [0, 1), a multiple of 2^-53. */
  next(): number {
    const high = this.#nextUint32() >>> 5;
    const low = this.#nextUint32() >>> 6;
    return (high * 2 ** 26 + low) * 2 ** -53;
  }

  #nextUint32(): number {
    const state = this.#state;
    const result = Math.imul(rotateLeft(Math.imul(state[1]!, 5), 7), 9) >>> 0;
    const shifted = state[1]! << 9;
    state[2]! ^= state[0]!;
    state[3]! ^= state[1]!;
    state[1]! ^= state[2]!;
    state[0]! ^= state[3]!;
    state[2]! ^= shifted;
    state[3] = rotateLeft(state[3]!, 11);
    return result;
  }
}

/** A seed from the system's entropy, to be shown so that the text can be had again. */
export function randomSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]!;
}

function rotateLeft(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}

function splitmix32(state: number): () => number {
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
    return (mixed ^ (mixed >>> 16)) >>> 0;
  };
}
