import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Turns } from './turns.js';

it('runs no more at once than it may, and all in the end, whatever fails', async () => {
  const works = fc.array(fc.tuple(fc.nat(3), fc.boolean()), { maxLength: 20 });
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 4 }), works, async (atOnce, list) => {
      const turns = new Turns(atOnce);
      let running = 0;
      const work = async ([steps, fails]: [number, boolean]) => {
        expect(++running).toBeLessThanOrEqual(atOnce);
        for (let i = 0; i < steps; i++) await Promise.resolve();
        running--;
        if (fails) throw new Error('failed');
      };
      const outcomes = await Promise.allSettled(list.map((one) => turns.take(() => work(one))));
      expect(outcomes.map(({ status }) => status === 'rejected')).toEqual(list.map(([, fails]) => fails));
    }),
  );
});
