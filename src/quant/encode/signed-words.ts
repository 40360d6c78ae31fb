/** Magnitudes of a super-block and, per eight weights, the signs; for grids that hold magnitudes only. */
export interface SignedWeights {
  readonly magnitudes: Float64Array;
  /** Bit j is set where weight j of the eight is negative. */
  readonly signs: Uint8Array;
  /** 1 where the number of negative signs is odd: the sign codes of seven bits only have even numbers. */
  readonly odd: Uint8Array;
}

export function newSignedWeights(): SignedWeights {
  return { magnitudes: new Float64Array(256), signs: new Uint8Array(32), odd: new Uint8Array(32) };
}

export function splitSigns(values: Float64Array, { magnitudes, signs, odd }: SignedWeights): void {
  signs.fill(0);
  odd.fill(0);
  for (let i = 0; i < 256; i++) {
    magnitudes[i] = Math.abs(values[i]!);
    if (values[i]! < 0) {
      signs[i >> 3]! |= 1 << (i & 7);
      odd[i >> 3]! ^= 1;
    }
  }
}

/** Which of `count` weights costs least when it takes the wrong sign: the one with the least w·|x|·g. */
export function cheapestFlip(
  grid: Int8Array,
  entry: number,
  count: number,
  magnitudes: Float64Array,
  weights: Float64Array,
  from: number,
): number {
  let cheapest = 0;
  let least = Infinity;
  for (let i = 0; i < count; i++) {
    // The order of the factors is that of the sums that chose the entry, so that ties fall alike.
    const product = weights[from + i]! * grid[entry * count + i]! * magnitudes[from + i]!;
    if (product < least) {
      least = product;
      cheapest = i;
    }
  }
  return cheapest;
}
