import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ExpertResidency, type SlotUse } from './expert-residency.js';

const EXPERTS = 16;
const someExperts = fc.uniqueArray(fc.nat(EXPERTS - 1), { maxLength: EXPERTS });
const requests = fc.array(fc.record({ ahead: fc.boolean(), experts: someExperts }), { maxLength: 40 });
const slotCounts = fc.integer({ min: 1, max: EXPERTS });

/** Plays the uses of one request as a reader and a computer would, and checks that nothing is overwritten early. */
function play(contents: Map<number, number>, rounds: readonly (readonly SlotUse[])[], depth: number): void {
  const read = (round: readonly SlotUse[] = []) => {
    for (const { expert, slot, source } of round) if (source === 'read') contents.set(slot, expert);
  };
  for (const round of rounds.slice(0, depth)) read(round);
  for (const [index, round] of rounds.entries()) {
    for (const { expert, slot } of round) expect(contents.get(slot)).toBe(expert);
    read(rounds[index + depth]);
  }
}

describe('ExpertResidency', () => {
  it('has every expert in its slot when its round comes, whatever was asked for and predicted before', () => {
    fc.assert(
      fc.property(slotCounts, requests, (slots, sequence) => {
        const residency = new ExpertResidency(slots);
        const contents = new Map<number, number>();
        for (const { ahead, experts } of sequence) {
          if (ahead) {
            const uses = residency.readAhead(experts);
            expect(new Set(uses.map(({ slot }) => slot)).size).toBe(uses.length);
            for (const { expert, slot } of uses) contents.set(slot, expert);
          } else {
            const rounds = residency.use(experts);
            const used = rounds.flat().map(({ expert }) => expert);
            expect(used.toSorted((a, b) => a - b)).toEqual(experts.toSorted((a, b) => a - b));
            play(contents, rounds, residency.depth);
          }
          for (const slot of contents.keys()) expect(slot).toBeLessThan(slots);
          expect(new Set(contents.values()).size).toBe(contents.size);
        }
      }),
    );
  });

  it('answers the same requests the same way', () => {
    fc.assert(
      fc.property(slotCounts, requests, (slots, sequence) => {
        const answers = () => {
          const residency = new ExpertResidency(slots);
          return sequence.map(({ ahead, experts }) =>
            ahead ? residency.readAhead(experts) : residency.use(experts),
          );
        };
        expect(answers()).toEqual(answers());
      }),
    );
  });

  it('keeps the most recently used experts', () => {
    fc.assert(
      fc.property(
        slotCounts,
        fc.array(fc.nat(EXPERTS - 1), { minLength: 1, maxLength: 60 }),
        (slots, used) => {
          const residency = new ExpertResidency(slots);
          for (const expert of used) residency.use([expert]);
          const recent = [...new Set(used.toReversed())].slice(0, slots);
          expect(recent.flatMap((expert) => residency.use([expert]).flat())).toEqual(
            recent.map((expert) => ({ expert, slot: expect.any(Number), source: 'kept' })),
          );
        },
      ),
    );
  });

  it('gives up a wrong prediction first, and counts a right one once', () => {
    const residency = new ExpertResidency(3);
    residency.use([0, 1, 2]);
    expect(residency.readAhead([5])).toEqual([{ expert: 5, slot: 0, source: 'read' }]);
    expect(residency.use([6]).flat()).toEqual([{ expert: 6, slot: 0, source: 'read' }]);
    expect(residency.readAhead([6, 1, 7, 8])).toEqual([{ expert: 7, slot: 2, source: 'read' }]);
    expect(residency.use([7]).flat()).toEqual([{ expert: 7, slot: 2, source: 'ahead' }]);
    expect(residency.use([7]).flat()).toEqual([{ expert: 7, slot: 2, source: 'kept' }]);
  });
});
