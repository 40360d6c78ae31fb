import { closeSync, fstatSync, openSync } from 'node:fs';
import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { tempFolder } from '../base/testing/temp-folder.js';
import { createSlotWords, SlotLoader, type SlotLoaderSetup } from './slot-loader.js';

const ITEMS = 5;
const SLOTS = 3;
/** The first part takes several reads. */
const PARTS = [4 * 2 ** 20 + 32, 4096, 1000];
const ITEM_BYTES = PARTS.reduce((sum, bytes) => sum + bytes, 0);
const PREFIX = 77;

/** Numbers that tell item, part and place apart. */
function partBytes(item: number, part: number): Buffer {
  const words = new Uint32Array(Math.ceil(PARTS[part]! / 4));
  for (let i = 0; i < words.length; i++) words[i] = Math.imul(i + 1, 0x9e3779b1) ^ (item * 16 + part);
  return Buffer.from(words.buffer, 0, PARTS[part]!);
}

const itemBytes = (item: number) => Buffer.concat(PARTS.map((_, part) => partBytes(item, part)));

/** A loader of items whose parts are spread over a file as those of experts are, and threads that read for it. */
async function start(readers: number) {
  const path = join(await tempFolder(), 'items');
  const tensors = PARTS.map((_, part) =>
    Buffer.concat(Array.from({ length: ITEMS }, (_, item) => partBytes(item, part))),
  );
  await writeFile(path, Buffer.concat([Buffer.alloc(PREFIX), ...tensors]));
  const fd = openSync(path, 'r');
  const { size, mtimeNs: modified } = fstatSync(fd, { bigint: true });
  const offsets = tensors.map((_, i) =>
    tensors.slice(0, i).reduce((sum, { length }) => sum + length, PREFIX),
  );
  const memory = new WebAssembly.Memory({ initial: 400, maximum: 400, shared: true });
  const setup: SlotLoaderSetup = {
    slots: Array.from({ length: SLOTS }, (_, slot) => ({ arena: 0, offset: 64 + slot * ITEM_BYTES })),
    groups: [
      {
        firstSlot: 0,
        slots: SLOTS,
        parts: PARTS.map((bytes, part) => {
          const at = PARTS.slice(0, part).reduce((sum, before) => sum + before, 0);
          return { file: 0, offset: offsets[part]!, bytes, at };
        }),
      },
    ],
    files: [{ path, fd, size, modified }],
    words: createSlotWords(SLOTS),
  };
  const bytes = new Uint8Array(memory.buffer);
  const loader = new SlotLoader(setup, [bytes]);
  const url = new URL('../../dist/engine/slot-reader.js', import.meta.url);
  const workers = Array.from(
    { length: readers },
    () => new Worker(url, { workerData: { setup, memories: [memory] } }),
  );
  await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('message', resolve))));
  onTestFinished(async () => {
    loader.stop();
    await Promise.all(workers.map((worker) => worker.terminate()));
    closeSync(fd);
  });
  const contents = (slot: number) =>
    Buffer.from(bytes.slice(64 + slot * ITEM_BYTES, 64 + (slot + 1) * ITEM_BYTES));
  return { path, loader, contents };
}

const slot = fc.nat(SLOTS - 1);
const actions = fc.array(fc.record({ slot, item: fc.nat(ITEMS - 1), urgent: slot, load: fc.boolean() }), {
  maxLength: 8,
});

describe('SlotLoader', () => {
  it('has the item in its slot after a load, whatever was being read before', async () => {
    const expected = Array.from({ length: ITEMS }, (_, item) => itemBytes(item));
    const { loader, contents } = await start(2);
    const held = new Map<number, number>();
    fc.assert(
      fc.property(actions, (steps) => {
        for (const { slot, item, urgent, load } of steps) {
          loader.assign(slot, item);
          held.set(slot, item);
          loader.publish([urgent, slot]);
          if (!load) continue;
          loader.load([slot], true);
          expect(contents(slot).equals(expected[item]!)).toBe(true);
        }
        for (const [slot, item] of held) {
          loader.load([slot], true);
          expect(contents(slot).equals(expected[item]!)).toBe(true);
        }
      }),
      { numRuns: 6 },
    );
    expect(loader.bytesRead).toBeGreaterThan(ITEM_BYTES);
  });

  it('reports what a reading thread could not read to whoever needs it', async () => {
    const { path, loader } = await start(1);
    await truncate(path, PREFIX);
    loader.assign(0, 3);
    loader.publish([0]);
    for (let attempt = 0; attempt < 2; attempt++) {
      expect(() => loader.load([0], true)).toThrow(expect.objectContaining({ code: 'file-changed' }));
    }
    expect(loader.bytesRead).toBe(0);
  });
});
