/** A share as percent with three significant digits: `12.3%`, `0.0456%`. */
export function percent(share: number): string {
  return `${significant(100 * share)}%`;
}

/** Three significant digits, without an exponent unless there would be many zeros. */
export function significant(value: number): string {
  if (value === 0 || !Number.isFinite(value)) return String(value);
  const power = Math.floor(Math.log10(Math.abs(value)));
  if (power < -6) return value.toExponential(1);
  return value.toFixed(Math.max(0, 2 - power));
}

/** Bits per weight of a type, as short as it can be: `8.5`, `2.06`. */
export function shortBits(bits: number): string {
  return String(Number(bits.toFixed(2)));
}

/** A share on an axis, where values are round. */
export function tickPercent(share: number): string {
  return `${Number((100 * share).toPrecision(4))}%`;
}
