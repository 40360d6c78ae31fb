import { describe, expect, it } from 'vitest';
import { SlotPool } from './slots.js';

const never = new AbortController().signal;

function pool(held: readonly (readonly number[])[], queueLimit = 2): SlotPool {
  const model = { sequences: held.length, cachedTokens: (i: number) => Int32Array.from(held[i]!) };
  const view = () => ({ vocabSize: 1, contextSize: 1, evaluate: async () => new Float32Array(0) });
  return new SlotPool(model, { queueLimit, view });
}

describe('slots', () => {
  it('are chosen by what they hold, else by how long they were unused', async () => {
    const slots = pool([[], [1, 2, 3], [1, 2]]);
    expect(await slots.acquire([1, 2, 3, 4], never)).toMatchObject({ index: 1, cachedTokens: 3 });
    expect(await slots.acquire([1, 2, 3, 4], never)).toMatchObject({ index: 2, cachedTokens: 2 });
    expect(await slots.acquire([9], never)).toMatchObject({ index: 0, cachedTokens: 0 });
    expect(slots.busy).toBe(3);
  });

  it('always leave the last prompt token to be computed', async () => {
    expect(await pool([[1, 2]]).acquire([1, 2], never)).toMatchObject({ cachedTokens: 1 });
  });

  it('go to those that wait in order', async () => {
    const slots = pool([[]]);
    const first = await slots.acquire([1], never);
    const order: number[] = [];
    const waiting = [2, 3].map(async (n) => {
      const slot = await slots.acquire([n], never);
      order.push(n);
      slots.release(slot);
    });
    expect(slots.waiting).toBe(2);
    slots.release(first);
    await Promise.all(waiting);
    expect(order).toEqual([2, 3]);
    expect({ busy: slots.busy, waiting: slots.waiting }).toEqual({ busy: 0, waiting: 0 });
  });

  it('refuse more than may wait', async () => {
    const slots = pool([[]], 1);
    await slots.acquire([1], never);
    void slots.acquire([1], never);
    await expect(slots.acquire([1], never)).rejects.toMatchObject({ status: 503, retryAfter: 2 });
  });

  it('forget those that gave up waiting', async () => {
    const slots = pool([[]]);
    const first = await slots.acquire([1], never);
    const abort = new AbortController();
    const given = slots.acquire([2], abort.signal);
    const next = slots.acquire([3], never);
    abort.abort();
    await expect(given).rejects.toMatchObject({ kind: 'cancelled' });
    slots.release(first);
    expect(await next).toMatchObject({ index: 0 });
  });
});
