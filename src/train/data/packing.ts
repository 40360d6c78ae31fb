/** Lengths a batch may have. */
export interface BatchLimits {
  readonly maxTokens: number;
  readonly maxExamples: number;
}

/** Examples looked at together: enough to fill batches well, few enough that an epoch's order stays random. */
const WINDOW = 1024;

/**
 * Examples, given in the order of an epoch, as batches: within windows of that order the longest goes first, each
 * into the first batch that has room for it (first-fit decreasing, which needs at most 11/9 of the best packing's
 * batches, and some). Every example is in exactly one batch; batches of a window stand in the order of their earliest
 * example.
 *
 * @param order indexes of examples
 * @param tokens how many tokens an example has, at most `maxTokens`
 */
export function packExamples(
  order: ArrayLike<number>,
  tokens: (example: number) => number,
  limits: BatchLimits,
): number[][] {
  const batches: number[][] = [];
  for (let start = 0; start < order.length; start += WINDOW) {
    const places = Array.from({ length: Math.min(WINDOW, order.length - start) }, (_, i) => start + i);
    places.sort((a, b) => tokens(order[b]!) - tokens(order[a]!) || a - b);
    for (const batch of packWindow(places, (place) => tokens(order[place]!), limits)) {
      batches.push(batch.map((place) => order[place]!));
    }
  }
  return batches;
}

function packWindow(
  places: readonly number[],
  tokens: (place: number) => number,
  { maxTokens, maxExamples }: BatchLimits,
): number[][] {
  const open: { readonly places: number[]; room: number }[] = [];
  for (const place of places) {
    const length = tokens(place);
    let bin = open.find(({ places, room }) => room >= length && places.length < maxExamples);
    if (!bin) {
      bin = { places: [], room: maxTokens };
      open.push(bin);
    }
    bin.places.push(place);
    bin.room -= length;
  }
  const packed = open.map(({ places }) => places.sort((a, b) => a - b));
  return packed.sort((a, b) => a[0]! - b[0]!);
}
