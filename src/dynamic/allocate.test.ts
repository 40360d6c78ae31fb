import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { GgmlType } from '../formats/ggml-types.js';
import { AllocationFrontier, type AllocationItem, allocate, type Choice } from './allocate.js';

const TYPES: readonly GgmlType[] = ['IQ1_S', 'IQ2_XXS', 'Q3_K', 'Q4_K', 'Q6_K'];

const choicesOf = (maxBytes: number) =>
  fc
    .array(fc.record({ bytes: fc.nat(maxBytes), damage: fc.nat(1000) }), { minLength: 1, maxLength: 5 })
    .map((list) => list.map((choice, i): Choice => ({ type: TYPES[i]!, ...choice })));

const itemsOf = (maxItems: number, maxBytes: number) =>
  fc
    .array(choicesOf(maxBytes), { minLength: 1, maxLength: maxItems })
    .map((lists) => lists.map((choices, i): AllocationItem => ({ name: `t${i}`, choices })));

/** Least damage over all combinations within the budget; Infinity when none fits. */
function bruteForce(items: readonly AllocationItem[], budget: number): number {
  const [first, ...rest] = items;
  if (first === undefined) return budget >= 0 ? 0 : Infinity;
  return Math.min(...first.choices.map(({ bytes, damage }) => damage + bruteForce(rest, budget - bytes)));
}

function smallestOf(items: readonly AllocationItem[]): number {
  return items.reduce((sum, { choices }) => sum + Math.min(...choices.map(({ bytes }) => bytes)), 0);
}

/** The model of a large MoE: `layers` × (3 large, 4 small matrices), damages that fall with the bits. */
function largeModel(layers: number): AllocationItem[] {
  const bits: readonly [GgmlType, number][] = [
    ['IQ1_S', 50],
    ['IQ1_M', 56],
    ['IQ2_XXS', 66],
    ['IQ2_XS', 74],
    ['IQ2_S', 82],
    ['Q2_K', 84],
    ['IQ3_XXS', 98],
    ['Q3_K', 110],
    ['IQ4_XS', 136],
    ['Q4_K', 144],
    ['Q5_K', 176],
    ['Q6_K', 210],
    ['Q8_0', 272],
  ];
  let state = 7;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  return Array.from({ length: layers * 7 }, (_, i) => {
    const blocks = i % 7 < 3 ? 2_621_440 : [102_400, 20_480, 163_840, 20_480][(i % 7) - 3]!;
    const sensitivity = 0.01 * random() ** 2;
    return {
      name: `t${i}`,
      choices: bits.map(([type, size]) => ({
        type,
        bytes: blocks * size,
        damage: sensitivity * 2 ** (-size / 16) * (0.8 + 0.4 * random()),
      })),
    };
  });
}

/** A bound no solution within the budget can beat: the Lagrangian dual, maximised over its multiplier. */
function dualBound(items: readonly AllocationItem[], budget: number): number {
  const dual = (lambda: number) =>
    items.reduce(
      (sum, { choices }) => sum + Math.min(...choices.map(({ bytes, damage }) => damage + lambda * bytes)),
      -lambda * budget,
    );
  let best = 0;
  for (let exponent = -16; exponent < -8; exponent += 0.01) best = Math.max(best, dual(10 ** exponent));
  return best;
}

describe('allocate', () => {
  it('is optimal on small cases, within the budget, and adds up', () => {
    fc.assert(
      fc.property(itemsOf(6, 40), fc.nat(200), (items, extra) => {
        const budget = smallestOf(items) + extra;
        const { choices, bytes, damage } = allocate(items, budget);
        expect(damage).toBe(bruteForce(items, budget));
        expect(bytes).toBeLessThanOrEqual(budget);
        expect([...choices.keys()].sort()).toEqual(items.map(({ name }) => name).sort());
        const chosen = [...choices.values()];
        expect(chosen.reduce((sum, choice) => sum + choice.bytes, 0)).toBe(bytes);
        expect(chosen.reduce((sum, choice) => sum + choice.damage, 0)).toBe(damage);
      }),
      { numRuns: 300 },
    );
  });

  it('chooses only what is offered', () => {
    fc.assert(
      fc.property(itemsOf(40, 1_000_000), (items) => {
        const { choices } = allocate(items, smallestOf(items) * 1.5);
        for (const item of items) expect(item.choices).toContain(choices.get(item.name));
      }),
    );
  });

  it('is never worse with more budget, thinned or not', () => {
    for (const items of [largeModel(2), largeModel(10)]) {
      const frontier = new AllocationFrontier(items);
      const most = items.reduce((sum, { choices }) => sum + choices.at(-1)!.bytes, 0);
      let previous = Infinity;
      for (let i = 0; i <= 500; i++) {
        const budget = frontier.smallest + ((most - frontier.smallest) * i) / 500;
        const { bytes, damage } = frontier.at(budget);
        expect(bytes).toBeLessThanOrEqual(budget);
        expect(damage).toBeLessThanOrEqual(previous);
        previous = damage;
      }
    }
  });

  it('gives the same for a frontier of all budgets as for one', () => {
    const items = largeModel(3);
    const frontier = new AllocationFrontier(items);
    const budget = frontier.smallest * 1.7;
    expect(frontier.at(budget)).toEqual(allocate([...items].reverse(), budget));
  });

  it('comes close to the bound for a model of Scout’s size', () => {
    const items = largeModel(48);
    const frontier = new AllocationFrontier(items);
    for (const factor of [1.05, 1.3, 2, 3]) {
      const budget = frontier.smallest * factor;
      const { damage } = frontier.at(budget);
      expect(damage).toBeLessThanOrEqual(dualBound(items, budget) * 1.003);
    }
  });

  it('says the smallest size when the budget is below it', () => {
    const items: AllocationItem[] = [
      { name: 'a', choices: [{ type: 'Q4_K', bytes: 144, damage: 1 }] },
      { name: 'b', choices: [{ type: 'Q6_K', bytes: 210, damage: 1 }] },
    ];
    expect(allocate(items, 354).bytes).toBe(354);
    expect(() => allocate(items, 353)).toThrow(
      expect.objectContaining({ code: 'budget-too-small', message: expect.stringContaining('354') }),
    );
    expect(() => allocate(items, Number.NaN)).toThrow(expect.objectContaining({ code: 'budget-too-small' }));
  });

  it('takes no items and refuses items without choices', () => {
    expect(allocate([], 0)).toEqual({ choices: new Map(), bytes: 0, damage: 0 });
    expect(() => allocate([{ name: 'a', choices: [] }], 10)).toThrow(
      expect.objectContaining({ code: 'bad-choices' }),
    );
  });
});
