import fc from 'fast-check';
import { expect, it } from 'vitest';
import { tokenLogprobs } from './token-logprobs.js';

it('gives the logarithms of softmax, and the likeliest tokens in order', () => {
  const logit = fc.float({ min: -20, max: 20, noNaN: true });
  fc.assert(
    fc.property(
      fc.array(logit, { minLength: 1, maxLength: 40 }),
      fc.nat(39),
      fc.nat(5),
      (row, nth, count) => {
        const logits = Float32Array.from(row);
        const id = nth % row.length;
        const exponentials = Array.from(logits, Math.exp);
        const total = exponentials.reduce((a, b) => a + b, 0);
        const { logprob, top } = tokenLogprobs(logits, id, count);
        expect(logprob).toBeCloseTo(Math.log(exponentials[id]! / total), 6);
        const order = row.map((_, i) => i).sort((a, b) => logits[b]! - logits[a]! || a - b);
        expect(top.map((other) => other.id)).toEqual(order.slice(0, count));
      },
    ),
  );
});
