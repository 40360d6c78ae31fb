/**
 * 32 pseudorandom bits that follow from a seed and a counter alone, so that any part of a sequence can be had without
 * what came before. The mixing step is that of MurmurHash3 (its `fmix32`, public domain), after every input.
 */
export function hash32(seed: number, stream: number, counter: number): number {
  let state = 0x9e3779b9;
  for (const value of [seed, Math.floor(seed / 2 ** 32), stream, counter, Math.floor(counter / 2 ** 32)]) {
    state = mix(state ^ (value | 0)) + 0x9e3779b9;
  }
  return mix(state) >>> 0;
}

function mix(value: number): number {
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return value ^ (value >>> 16);
}

/** Puts a list in an order that follows from seed and stream (Fisher and Yates). */
export function shuffle(
  list: { [index: number]: number; readonly length: number },
  seed: number,
  stream: number,
) {
  for (let last = list.length - 1; last > 0; last--) {
    const other = Math.floor((hash32(seed, stream, last) / 2 ** 32) * (last + 1));
    const kept = list[last]!;
    list[last] = list[other]!;
    list[other] = kept;
  }
}
