/** The numbers from `start` up to, not including, `end`. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** Which bytes of something have been seen, as disjoint ranges in ascending order; neighbours are joined. */
export class RangeSet {
  readonly #ranges: { start: number; end: number }[];

  /** `ranges` are disjoint, in ascending order, and do not touch. */
  constructor(ranges: readonly Range[] = []) {
    this.#ranges = ranges.map((range) => ({ ...range }));
  }

  /** Adds `[start, end)`; false, and nothing added, when it overlaps what is there. */
  add(start: number, end: number): boolean {
    if (start === end) return true;
    const ranges = this.#ranges;
    // Writers mostly append, so the place is looked for from the end.
    let at = ranges.length;
    while (at > 0 && ranges[at - 1]!.start >= start) at--;
    const before = ranges[at - 1];
    const after = ranges[at];
    if ((before !== undefined && before.end > start) || (after !== undefined && after.start < end))
      return false;
    const joinsBefore = before?.end === start;
    const joinsAfter = after?.start === end;
    if (joinsBefore) before.end = joinsAfter ? after.end : end;
    if (joinsBefore && joinsAfter) ranges.splice(at, 1);
    else if (!joinsBefore && joinsAfter) after.start = start;
    else if (!joinsBefore) ranges.splice(at, 0, { start, end });
    return true;
  }

  /** True when `[start, end)` has been added completely. */
  covers(start: number, end: number): boolean {
    return start === end || this.#ranges.some((range) => range.start <= start && range.end >= end);
  }

  /** The ranges so far; a copy. */
  get ranges(): readonly Range[] {
    return this.#ranges.map((range) => ({ ...range }));
  }

  /** What `[0, total)` still lacks, in ascending order. */
  missing(total: number): Range[] {
    const gaps: Range[] = [];
    let at = 0;
    for (const { start, end } of this.#ranges) {
      if (start > at) gaps.push({ start: at, end: start });
      at = end;
    }
    if (at < total) gaps.push({ start: at, end: total });
    return gaps;
  }

  /** Length of the unbroken run from zero. */
  get prefix(): number {
    const first = this.#ranges[0];
    return first?.start === 0 ? first.end : 0;
  }

  /** Total length of the ranges. */
  get size(): number {
    return this.#ranges.reduce((sum, range) => sum + range.end - range.start, 0);
  }
}
