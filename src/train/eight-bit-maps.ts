/** Elements that share a scale. */
export const EIGHT_BIT_BLOCK = 256;

/**
 * The 256 values, ascending in [-1, 1] or [0, 1], that a byte of an optimizer's state stands for: the dynamic map of
 * 8-bit optimizers (Dettmers et al. 2022, arXiv:2110.02861, section 2.1). Decade by decade, from 10⁻⁶ to 1, twice as
 * many values as in the decade below: the middles of equal parts of [0.1, 1] × 10^decade. With 0 and 1.
 * @param signed with the negatives of all but 1, and half as many values a decade
 */
export function dynamicMap(signed: boolean): Float32Array<ArrayBuffer> {
  const values = [0, 1];
  for (let decade = 0; decade < 7; decade++) {
    const parts = 2 ** (signed ? decade : decade + 1);
    for (let part = 0; part < parts; part++) {
      const value = 10 ** (decade - 6) * (0.1 + (0.9 * (part + 0.5)) / parts);
      values.push(value);
      if (signed) values.push(-value);
    }
  }
  return Float32Array.from(values).sort();
}

/** A map's values, then for each the greatest number that rounds to it: the middle up to the next. */
function tableOf(map: Float32Array): number[] {
  const limits = Array.from(map, (value, i) =>
    i < 255 ? (value + map[i + 1]!) / 2 : Number.POSITIVE_INFINITY,
  );
  return [...map, ...limits];
}

/** What the kernel `adamw8bit` reads at `tables`: for the first moment, then for the second. */
export function eightBitTables(): Float32Array<ArrayBuffer> {
  return Float32Array.from([...tableOf(dynamicMap(true)), ...tableOf(dynamicMap(false))]);
}
