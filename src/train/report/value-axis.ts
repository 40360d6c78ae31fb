/** Where values lie between the ends of an axis. */
export interface ValueAxis {
  /** 0 at the lower end, 1 at the upper one. */
  readonly place: (value: number) => number;
  readonly ticks: readonly number[];
}

/** Values that differ by more than this factor are shown by their logarithms. */
const LOGARITHMIC_FROM = 30;
const MOST_TICKS = 6;
/** Far below any figure, far above what a number cannot be divided by. */
const SMALLEST_SPAN = 1e-30;

/** An axis with round ends that shows all values, and 0 if it should. Pure. */
export function axisFor(values: readonly number[], fromZero = false): ValueAxis {
  if (values.length === 0) return { place: () => 0, ticks: [] };
  const low = Math.min(...values, ...(fromZero ? [0] : []));
  const high = Math.max(...values);
  return low > 0 && high / low > LOGARITHMIC_FROM ? logarithmic(low, high) : linear(low, high);
}

function linear(low: number, high: number): ValueAxis {
  // Equal values need room around them too.
  const span = Math.max(high - low, Math.max(Math.abs(low), Math.abs(high)) * 1e-3, SMALLEST_SPAN);
  const step = roundStep(span / (MOST_TICKS - 2));
  const from = Math.floor(low / step);
  const to = Math.max(from + 1, Math.ceil(high / step));
  return {
    place: (value) => (value / step - from) / (to - from),
    ticks: Array.from({ length: to - from + 1 }, (_, i) => Number(((from + i) * step).toPrecision(12))),
  };
}

function logarithmic(low: number, high: number): ValueAxis {
  const from = Math.floor(Math.log10(low));
  const to = Math.ceil(Math.log10(high));
  const every = Math.ceil((to - from) / (MOST_TICKS - 1));
  const decades = Math.floor((to - from) / every) + 1;
  return {
    place: (value) => (Math.log10(value) - from) / (to - from),
    ticks: Array.from({ length: decades }, (_, i) => Number(`1e${from + i * every}`)),
  };
}

/** 1, 2 or 5 times a power of ten, at least `least`. */
function roundStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least));
  return (
    [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= least * (1 - 1e-9)) ?? 10 * power
  );
}
