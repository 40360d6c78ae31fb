import { formatBytes } from '../base/byte-size.js';
import { CriaError } from '../base/errors.js';
import type { GgmlType } from '../formats/ggml-types.js';

/** One type a tensor may have: what it costs and what it is predicted to do to the output. */
export interface Choice<Type extends string = GgmlType> {
  readonly type: Type;
  readonly bytes: number;
  /** Predicted growth of the mean KL divergence, in nats; not negative. */
  readonly damage: number;
}

export interface AllocationItem<Type extends string = GgmlType> {
  readonly name: string;
  /** At least one. What a floor forbids is not in the list. */
  readonly choices: readonly Choice<Type>[];
}

export interface Allocation<Type extends string = GgmlType> {
  /** The choice of each item, by name. */
  readonly choices: ReadonlyMap<string, Choice<Type>>;
  readonly bytes: number;
  readonly damage: number;
}

/**
 * Points a frontier keeps. All 144 expert tensors of Scout have blocks of even sizes and the same number of them, so
 * their sums take some 12,000 values: thinning begins about there, and costs some thousandths of the damage at most.
 */
const MAX_POINTS = 8192;

/** Best damage for every size, ascending in bytes and strictly descending in damage. */
interface Points {
  readonly bytes: Float64Array;
  readonly damage: Float64Array;
  /** The point of the step before that each one extends, and by which choice. */
  readonly parent: Int32Array;
  readonly choice: Uint8Array;
}

/**
 * Every useful way to divide bytes among tensors: the multiple-choice knapsack solved for all budgets at once, by
 * adding one tensor after another to the set of sizes that no other solution beats (Nemhauser and Ullmann, 1969).
 * Exact as long as no step has more than 8192 such sizes; beyond, the points nearest to the lower hull are kept.
 * The set does not depend on the budget, hence a larger budget is never answered with more damage.
 */
export class AllocationFrontier<Type extends string = GgmlType> {
  readonly #items: readonly AllocationItem<Type>[];
  readonly #steps: readonly Points[];

  constructor(items: readonly AllocationItem<Type>[]) {
    // Large tensors first: their sums coincide most, and the small ones fill the gaps between them.
    this.#items = items
      .map(({ name, choices }) => ({ name, choices: undominated(name, choices) }))
      .sort((a, b) => b.choices.at(-1)!.bytes - a.choices.at(-1)!.bytes || (a.name < b.name ? -1 : 1));
    const steps: Points[] = [];
    const merged = emptyPoints(MAX_POINTS * Math.max(0, ...this.#items.map(({ choices }) => choices.length)));
    let points = emptyPoints(1);
    for (const { choices } of this.#items) {
      const length = extend(points, choices, merged);
      points = thinned(merged, length, MAX_POINTS);
      steps.push(points);
    }
    this.#steps = steps;
  }

  /** Bytes of the smallest solution. */
  get smallest(): number {
    return this.#steps.at(-1)?.bytes[0] ?? 0;
  }

  /** All solutions, ascending in bytes and descending in damage. */
  get points(): { readonly bytes: number; readonly damage: number }[] {
    const last = this.#steps.at(-1);
    return last ? Array.from(last.bytes, (bytes, i) => ({ bytes, damage: last.damage[i]! })) : [];
  }

  /** The least damage within `budget` bytes. Throws `budget-too-small` (usage), naming the smallest size. */
  at(budget: number): Allocation<Type> {
    if (!(budget >= this.smallest)) {
      throw new CriaError(
        'usage',
        'budget-too-small',
        `the tensors cannot fit ${budget} bytes (${formatBytes(Math.max(0, budget || 0))}): ` +
          `the smallest allowed types need ${this.smallest} (${formatBytes(this.smallest)})`,
      );
    }
    const choices = new Map<string, Choice<Type>>();
    const last = this.#steps.at(-1);
    if (!last) return { choices, bytes: 0, damage: 0 };
    let point = lastAtMost(last.bytes, budget);
    const total = { bytes: last.bytes[point]!, damage: last.damage[point]! };
    for (let step = this.#steps.length - 1; step >= 0; step--) {
      const { name, choices: options } = this.#items[step]!;
      const { choice, parent } = this.#steps[step]!;
      choices.set(name, options[choice[point]!]!);
      point = parent[point]!;
    }
    return { choices, ...total };
  }
}

/** The least total damage within `budget` bytes; see AllocationFrontier, which answers several budgets at once. */
export function allocate<Type extends string = GgmlType>(
  items: readonly AllocationItem<Type>[],
  budget: number,
): Allocation<Type> {
  return new AllocationFrontier(items).at(budget);
}

/** Choices that no other beats in both size and damage, ascending in bytes. */
function undominated<Type extends string>(name: string, choices: readonly Choice<Type>[]): Choice<Type>[] {
  if (choices.length === 0 || choices.length > 256) {
    throw new CriaError(
      'internal',
      'bad-choices',
      `'${name}' has ${choices.length} choices, expected 1 to 256`,
    );
  }
  for (const { type, bytes, damage } of choices) {
    if (!Number.isSafeInteger(bytes) || bytes < 0 || !(damage >= 0) || damage === Infinity) {
      throw new CriaError(
        'internal',
        'bad-choices',
        `'${name}' as ${type} has ${bytes} bytes and a damage of ${damage}: expected finite numbers from 0 up`,
      );
    }
  }
  const kept: Choice<Type>[] = [];
  for (const choice of [...choices].sort((a, b) => a.bytes - b.bytes || a.damage - b.damage)) {
    if (kept.length === 0 || choice.damage < kept.at(-1)!.damage) kept.push(choice);
  }
  return kept;
}

function emptyPoints(length: number): Points {
  return {
    bytes: new Float64Array(length),
    damage: new Float64Array(length),
    parent: new Int32Array(length),
    choice: new Uint8Array(length),
  };
}

function firstPoints({ bytes, damage, parent, choice }: Points, length: number): Points {
  return {
    bytes: bytes.slice(0, length),
    damage: damage.slice(0, length),
    parent: parent.slice(0, length),
    choice: choice.slice(0, length),
  };
}

/**
 * The frontier of every point of `points` with every choice of one more item, written to the start of `target`;
 * returns its length. The points shifted by each choice are as many lists in order, merged here.
 */
function extend(points: Points, choices: readonly Choice<string>[], target: Points): number {
  const { bytes, damage } = points;
  const length = bytes.length;
  const addedBytes = Float64Array.from(choices, (choice) => choice.bytes);
  const addedDamage = Float64Array.from(choices, (choice) => choice.damage);
  const heads = new Int32Array(choices.length);
  const headBytes = addedBytes.map((added) => added + bytes[0]!);
  let count = 0;
  let best = Infinity;
  for (;;) {
    let first = 0;
    for (let i = 1; i < headBytes.length; i++) {
      if (headBytes[i]! < headBytes[first]!) first = i;
    }
    if (headBytes[first] === Infinity) return count;
    let head = heads[first]!;
    const sum = damage[head]! + addedDamage[first]!;
    if (sum < best) {
      // Of equal sizes the last one, which has the least damage, is kept.
      if (count > 0 && target.bytes[count - 1] === headBytes[first]) count--;
      target.bytes[count] = headBytes[first]!;
      target.damage[count] = sum;
      target.parent[count] = head;
      target.choice[count] = first;
      count++;
      best = sum;
    }
    do head++;
    while (head < length && damage[head]! + addedDamage[first]! >= best);
    heads[first] = head;
    headBytes[first] = head < length ? bytes[head]! + addedBytes[first]! : Infinity;
  }
}

function copyPoint(from: Points, at: number, to: Points, index: number): void {
  to.bytes[index] = from.bytes[at]!;
  to.damage[index] = from.damage[at]!;
  to.parent[index] = from.parent[at]!;
  to.choice[index] = from.choice[at]!;
}

/**
 * At most `limit` of the first `length` points, the first and last among them: the range of bytes is cut into equal cells, and each keeps
 * the point lowest along the frontier's own slope there.
 */
function thinned(points: Points, length: number, limit: number): Points {
  const { bytes, damage } = points;
  if (length <= limit) return firstPoints(points, length);
  const kept = emptyPoints(limit);
  copyPoint(points, 0, kept, 0);
  let count = 1;
  const cells = limit - 2;
  const cellBytes = (bytes[length - 1]! - bytes[0]!) / cells;
  let start = 1;
  for (let cell = 1; cell <= cells && start < length - 1; cell++) {
    const border = bytes[0]! + cell * cellBytes;
    let end = start;
    while (end < length - 1 && (bytes[end]! < border || cell === cells)) end++;
    if (end === start) continue;
    const slope = (damage[start - 1]! - damage[end]!) / (bytes[end]! - bytes[start - 1]!);
    let lowest = start;
    for (let i = start + 1; i < end; i++) {
      if (damage[i]! - damage[lowest]! + slope * (bytes[i]! - bytes[lowest]!) < 0) lowest = i;
    }
    copyPoint(points, lowest, kept, count++);
    start = end;
  }
  copyPoint(points, length - 1, kept, count++);
  return firstPoints(kept, count);
}

/** Index of the last entry that is at most `limit`, in ascending `values` whose first is. */
function lastAtMost(values: Float64Array, limit: number): number {
  let low = 0;
  let high = values.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (values[middle]! <= limit) low = middle;
    else high = middle - 1;
  }
  return low;
}
