import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CriaError } from '../../base/errors.js';
import { tempFolder } from '../../base/testing/temp-folder.js';
import { pair, type RawGguf, rawGguf, tensor, text, u32, u64 } from '../testing/raw-gguf.js';
import { openGguf } from './gguf-file.js';
import { GGUF_LIMITS } from './header.js';

async function open(bytes: Uint8Array) {
  const path = join(await tempFolder(), 'x.gguf');
  await writeFile(path, bytes);
  return openGguf(path);
}

const ARRAY = 9;
const STRING = 8;
const badText = Buffer.from([0x61, 0xff]);
const one = (type: number) => tensor('t', [32], 0, type);
const data = (tensors: Uint8Array[], dataBytes = 4096): RawGguf => ({ tensors, dataBytes });

const cases: [what: string, code: string, kind: string, raw: RawGguf][] = [
  ['another magic', 'gguf-bad-magic', 'bad-file', { magic: 'GGML' }],
  ['big-endian', 'gguf-big-endian', 'unsupported', { version: 0x03000000 }],
  ['version 1', 'gguf-bad-version', 'unsupported', { version: 1 }],
  ['version 4', 'gguf-bad-version', 'unsupported', { version: 4 }],
  ['version 0', 'gguf-bad-version', 'unsupported', { version: 0 }],
  ['2^64 - 1 tensors', 'gguf-too-many', 'bad-file', { tensorCount: 2n ** 64n - 1n }],
  ['more tensors than bytes', 'gguf-truncated', 'bad-file', { tensorCount: 900_000 }],
  ['2^63 keys', 'gguf-too-many', 'bad-file', { pairCount: 2n ** 63n }],
  ['more keys than bytes', 'gguf-truncated', 'bad-file', { pairCount: 60_000 }],
  ['an endless key', 'gguf-string-too-long', 'bad-file', { pairs: [u64(2n ** 60n), u64(0)] }],
  ['an endless string', 'gguf-string-too-long', 'bad-file', { pairs: [pair('k', STRING, u64(2n ** 63n))] }],
  ['a string past the end', 'gguf-truncated', 'bad-file', { pairs: [pair('k', STRING, u64(5e6))] }],
  ['an endless array', 'gguf-too-many', 'bad-file', { pairs: [pair('k', ARRAY, u32(0), u64(2n ** 62n))] }],
  [
    'an array past the end',
    'gguf-truncated',
    'bad-file',
    { pairs: [pair('k', ARRAY, u32(STRING), u64(1e6))] },
  ],
  [
    'arrays in arrays in arrays',
    'gguf-too-deep',
    'bad-file',
    { pairs: [pair('k', ARRAY, ...Array.from({ length: 9 }, () => [u32(ARRAY), u64(1)]).flat(), u64(0))] },
  ],
  ['an unknown value type', 'gguf-bad-value-type', 'bad-file', { pairs: [pair('k', 13, u64(0))] }],
  ['an unknown item type', 'gguf-bad-value-type', 'bad-file', { pairs: [pair('k', ARRAY, u32(99), u64(0))] }],
  ['a bool of 2', 'gguf-bad-bool', 'bad-file', { pairs: [pair('k', 7, Buffer.from([2]))] }],
  ['a key twice', 'gguf-duplicate-key', 'bad-file', { pairs: [pair('k', 4, u32(1)), pair('k', 4, u32(1))] }],
  ['an empty key', 'gguf-bad-name', 'bad-file', { pairs: [pair('', 4, u32(1))] }],
  ['a key with an escape', 'gguf-bad-name', 'bad-file', { pairs: [pair('\u001b[2J', 4, u32(1))] }],
  ['a key that is no UTF-8', 'gguf-bad-utf8', 'bad-file', { pairs: [pair(badText, 4, u32(1))] }],
  ['a value that is no UTF-8', 'gguf-bad-utf8', 'bad-file', { pairs: [pair('k', STRING, text(badText))] }],
  [
    'a token that is no UTF-8',
    'gguf-bad-utf8',
    'bad-file',
    { pairs: [pair('k', ARRAY, u32(STRING), u64(2), text('ok'), text(badText))] },
  ],
  ['alignment 0', 'gguf-bad-alignment', 'bad-file', { pairs: [pair('general.alignment', 4, u32(0))] }],
  ['alignment 48', 'gguf-bad-alignment', 'bad-file', { pairs: [pair('general.alignment', 4, u32(48))] }],
  [
    'alignment 2^31',
    'gguf-bad-alignment',
    'bad-file',
    { pairs: [pair('general.alignment', 4, u32(2 ** 31))] },
  ],
  ['alignment as u64', 'gguf-bad-alignment', 'bad-file', { pairs: [pair('general.alignment', 10, u64(32))] }],
  ['a tensor twice', 'gguf-duplicate-tensor', 'bad-file', data([tensor('t', [1], 0), tensor('t', [1], 32)])],
  ['a tensor name of no UTF-8', 'gguf-bad-utf8', 'bad-file', data([tensor(badText, [1], 0)])],
  ['a tensor name with NUL', 'gguf-bad-name', 'bad-file', data([tensor('a\0', [1], 0)])],
  ['no dimensions', 'gguf-bad-shape', 'bad-file', data([tensor('t', [], 0)])],
  ['five dimensions', 'gguf-bad-shape', 'bad-file', data([tensor('t', [1, 1, 1, 1, 1], 0)])],
  ['2^32 - 1 dimensions', 'gguf-truncated', 'bad-file', { tensors: [u64(1), u32(0x61)] }],
  ['a zero dimension', 'gguf-bad-shape', 'bad-file', data([tensor('t', [32, 0], 0)])],
  ['a dimension of 2^64 - 1', 'gguf-tensor-too-large', 'bad-file', data([tensor('t', [2n ** 64n - 1n], 0)])],
  // 2^33 · 2^33 · 2^33 wraps around to 2^35 in 64 bits.
  [
    'an overflowing product',
    'gguf-tensor-too-large',
    'bad-file',
    data([tensor('t', Array(3).fill(2n ** 33n), 0)]),
  ],
  [
    'a product that wraps to 0',
    'gguf-tensor-too-large',
    'bad-file',
    data([tensor('t', [2n ** 32n, 2n ** 32n], 0)]),
  ],
  ['an unknown tensor type', 'gguf-unknown-type', 'unsupported', data([one(1000)])],
  ['a removed tensor type', 'gguf-unknown-type', 'unsupported', data([one(4)])],
  ['rows of broken blocks', 'gguf-row-not-whole-blocks', 'bad-file', data([tensor('t', [33, 32], 0, 8)])],
  ['a misaligned offset', 'gguf-misaligned', 'bad-file', data([tensor('t', [1], 4)])],
  ['overlapping tensors', 'gguf-overlap', 'bad-file', data([tensor('b', [9], 32), tensor('a', [9], 0)])],
  ['equal offsets', 'gguf-overlap', 'bad-file', data([tensor('b', [1], 0), tensor('a', [1], 0)])],
  ['a tensor past the end', 'gguf-tensor-outside', 'bad-file', data([tensor('t', [1025], 0)])],
  ['an offset past the end', 'gguf-tensor-outside', 'bad-file', data([tensor('t', [1], 4096)])],
  ['an offset of 2^64 - 32', 'gguf-tensor-outside', 'bad-file', data([tensor('t', [1], 2n ** 64n - 32n)])],
];

describe('refuses, with one line and a code,', () => {
  test.each(cases)('%s', async (_, code, kind, raw) => {
    const error = await open(rawGguf(raw)).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(CriaError);
    expect(error).toMatchObject({ code, kind });
    expect(error.message).toMatch(/^\P{Cc}+$/u);
  });
});

const valid = rawGguf({
  pairs: [
    pair('general.name', STRING, text('grüße')),
    pair('tokens', ARRAY, u32(STRING), u64(3), text('a'), text(''), text('é')),
    pair('nested', ARRAY, u32(ARRAY), u64(2), u32(5), u64(1), u32(7), u32(7), u64(0)),
    pair('big', 10, u64(2n ** 64n - 1n)),
  ],
  tensors: [tensor('a', [32, 2], 0, 8), tensor('b', [3], 96)],
  dataBytes: 108,
});

test('reads the file that the next tests spoil', async () => {
  const file = await open(valid);
  expect([...file.tensors.keys()]).toEqual(['a', 'b']);
  expect(file.metadata.get('big')).toEqual({ type: 'uint64', value: 2n ** 64n - 1n });
  const row = new Uint8Array(34);
  await file.readRows('a', 1, 1, row);
  expect(row).toEqual(new Uint8Array(34).fill(7));
  await expect(file.readRows('a', 2, 1, row)).rejects.toMatchObject({ code: 'outside-tensor' });
  await expect(file.readRows('a', 0, 2, row)).rejects.toMatchObject({ code: 'wrong-target-size' });
  await expect(file.readRows('c', 0, 1, row)).rejects.toMatchObject({ code: 'no-such-tensor' });
  await file.close();
});

test('version 2 reads like version 3', async () => {
  const bytes = Buffer.from(valid);
  bytes.writeUInt32LE(2, 4);
  const file = await open(bytes);
  expect(file.version).toBe(2);
  await file.close();
});

test('refuses the file cut anywhere', async () => {
  const folder = await tempFolder();
  const path = join(folder, 'x.gguf');
  for (let length = 0; length < valid.length; length++) {
    await writeFile(path, valid.subarray(0, length));
    const error = await openGguf(path).catch((thrown) => thrown);
    expect(error, `${length} bytes`).toMatchObject({
      code: expect.stringMatching(/^gguf-(truncated|tensor-outside)$/),
    });
  }
});

async function neverCrashes(path: string, bytes: Uint8Array) {
  await writeFile(path, bytes);
  try {
    await (await openGguf(path)).close();
  } catch (error) {
    expect(error).toBeInstanceOf(CriaError);
    expect((error as CriaError).kind).not.toBe('internal');
  }
}

test('random bytes behind the magic never raise anything but CriaError', async () => {
  const path = join(await tempFolder(), 'x.gguf');
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), (bytes) =>
      neverCrashes(path, Buffer.concat([Buffer.from('GGUF'), u32(3), bytes])),
    ),
    { numRuns: 300 },
  );
});

test('a file with some bytes changed never raises anything but CriaError', async () => {
  const path = join(await tempFolder(), 'x.gguf');
  const change = fc.tuple(fc.nat(valid.length - 1), fc.constantFrom(0, 1, 2, 4, 8, 9, 0x7f, 0x80, 0xff));
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
      const bytes = Buffer.from(valid);
      for (const [at, value] of changes) bytes[at] = value;
      return neverCrashes(path, bytes);
    }),
    { numRuns: 500 },
  );
});

test('all arrays together are bounded', async () => {
  const half = Buffer.alloc(GGUF_LIMITS.elements / 2 + 1);
  const array = (key: string) => pair(key, ARRAY, u32(0), u64(half.length), half);
  await expect(open(rawGguf({ pairs: [array('a'), array('b')] }))).rejects.toMatchObject({
    code: 'gguf-too-many',
  });
});
