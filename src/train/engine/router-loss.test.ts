import { describe, expect, it } from 'vitest';
import { routeTokens } from '../../model/routing.js';
import { uniformFloats } from '../initial-values.js';
import { RouterLoss } from './router-loss.js';

const EXPERTS = 4;
const TOKENS = 12;
const logits = uniformFloats(1, 0, TOKENS * EXPERTS, 2);
const rowOf = (values: Float32Array, t: number) => values.subarray(t * EXPERTS, (t + 1) * EXPERTS);

describe('the loss of routers', () => {
  it('is 1 when experts are chosen evenly, and E when it is always the same', () => {
    const even = Float32Array.from({ length: TOKENS * EXPERTS }, (_, i) =>
      i % EXPERTS === Math.floor(i / EXPERTS) % EXPERTS ? 1 : 0,
    );
    const fair = new RouterLoss(routeTokens(even, TOKENS, EXPERTS, 1));
    let sum = 0;
    for (let t = 0; t < TOKENS; t++) sum += fair.ofToken(rowOf(even, t));
    expect(sum / TOKENS).toBeCloseTo(1, 6);
    const same = Float32Array.from({ length: TOKENS * EXPERTS }, (_, i) => (i % EXPERTS === 2 ? 50 : 0));
    const unfair = new RouterLoss(routeTokens(same, TOKENS, EXPERTS, 1));
    expect(unfair.ofToken(rowOf(same, 0))).toBeCloseTo(EXPERTS, 6);
  });

  it('has the gradient that its differences have', () => {
    const loss = new RouterLoss(routeTokens(logits, TOKENS, EXPERTS, 2));
    const row = rowOf(logits, 3);
    const gradient = new Float32Array(EXPERTS).fill(1);
    loss.addGradient(row, 10, gradient);
    for (let e = 0; e < EXPERTS; e++) {
      const at = (distance: number) => loss.ofToken(row.map((x, i) => (i === e ? x + distance : x)));
      expect(gradient[e]! - 1).toBeCloseTo((10 * (at(1e-2) - at(-1e-2))) / 2e-2, 3);
    }
  });
});
