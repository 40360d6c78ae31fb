const MAX_ROUNDS = 8;

/**
 * Least cost over the starting values of an alternating search. `tryValue` evaluates one value and returns its
 * cost; `refit` gives the value that suits the choices made in the evaluation before it. Every start is evaluated
 * once; from the `keep` best of them values and choices take turns while the cost falls.
 */
export function searchFromStarts<Value>(
  starts: readonly Value[],
  keep: number,
  tryValue: (value: Value) => number,
  refit: () => Value,
): void {
  const ranked = starts.map((value) => ({ value, cost: tryValue(value) }));
  ranked.sort((a, b) => a.cost - b.cost);
  for (const { value } of ranked.slice(0, keep)) {
    let previous = tryValue(value);
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const next = tryValue(refit());
      if (!(next < previous)) {
        break;
      }
      previous = next;
    }
  }
}
