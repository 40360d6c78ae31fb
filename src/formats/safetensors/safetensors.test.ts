import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CriaError } from '../../base/errors.js';
import { tempFolder } from '../../base/testing/temp-folder.js';
import {
  describeSafetensors,
  dtypeBits,
  openSafetensors,
  renderSafetensors,
  SAFETENSORS_DTYPES,
  type SafetensorsDtype,
  type SafetensorsInfo,
  tensorBytes,
  writeSafetensors,
} from './index.js';

function info(name: string, dtype: SafetensorsDtype, shape: readonly number[]): SafetensorsInfo {
  return { name, dtype, shape, bytes: tensorBytes(dtype, shape) };
}

function content({ name, bytes }: SafetensorsInfo): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, i) => name.length * 31 + i);
}

/** A file from a header, given as JSON text or a value, and as many bytes of data. */
function raw(header: unknown, dataBytes: number, length?: number | bigint): Buffer {
  const json = Buffer.isBuffer(header)
    ? header
    : Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const start = Buffer.alloc(8);
  start.writeBigUInt64LE(BigInt(length ?? json.length));
  return Buffer.concat([start, json, Buffer.alloc(dataBytes, 7)]);
}

describe('round trip', () => {
  const name = fc.stringMatching(/^[\w.é🦙]{1,20}$/u);
  const shape = fc.array(fc.nat(4), { maxLength: 4 });
  const tensor = fc
    .tuple(name, fc.constantFrom(...SAFETENSORS_DTYPES), shape)
    // Types narrower than a byte fill whole bytes.
    .map(([n, dtype, s]) => info(n, dtype, dtypeBits(dtype) < 8 ? [...s, 4] : s));
  const tensors = fc.uniqueArray(tensor, { selector: (t) => t.name, maxLength: 8 });
  const metadata = fc.dictionary(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'binary' }), {
    maxKeys: 3,
  });

  test('any tensors and metadata, in one file or in shards', async () => {
    const folder = await tempFolder();
    await fc.assert(
      fc.asyncProperty(
        tensors,
        metadata,
        fc.constantFrom(undefined, 16, 100),
        async (list, pairs, maxShardSize) => {
          for (const entry of await readdir(folder)) await rm(join(folder, entry));
          const written = new Map(Object.entries(pairs));
          const path = join(folder, 'model.safetensors');
          await writeSafetensors(path, { metadata: written, tensors: list, maxShardSize, write: content });
          const file = await openSafetensors(folder);
          expect(file.tensors.size).toBe(list.length);
          expect(file.metadata).toEqual(written);
          for (const t of list) {
            expect(file.tensors.get(t.name)).toMatchObject(t);
            const bytes = new Uint8Array(t.bytes);
            await file.read(t.name, 0, bytes);
            expect(bytes).toEqual(content(t));
          }
          await file.close();
        },
      ),
      { numRuns: 60 },
    );
  });

  test('byte for byte as the Rust library writes it', async () => {
    const path = join(await tempFolder(), 'x.safetensors');
    const list = [info('b', 'U8', [3]), info('a', 'U8', [1]), info('z', 'F32', [1, 2])];
    await writeSafetensors(path, { metadata: new Map([['format', 'pt']]), tensors: list, write: content });
    const bytes = await readFile(path);
    const header =
      '{"__metadata__":{"format":"pt"},"z":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},' +
      '"a":{"dtype":"U8","shape":[1],"data_offsets":[8,9]},"b":{"dtype":"U8","shape":[3],"data_offsets":[9,12]}}';
    const padded = header.padEnd(Math.ceil(header.length / 8) * 8);
    expect(bytes.subarray(8, -12).toString()).toBe(padded);
    expect(bytes.readBigUInt64LE()).toBe(BigInt(padded.length));
  });
});

test('shards and index are named as transformers names them', async () => {
  const folder = await tempFolder();
  const list = [info('c', 'F32', [4]), info('a', 'F32', [4]), info('b', 'F32', [4])];
  const path = join(folder, 'model.safetensors');
  await writeSafetensors(path, { tensors: list, maxShardSize: 32, write: content });
  expect((await readdir(folder)).sort()).toEqual([
    'model-00001-of-00002.safetensors',
    'model-00002-of-00002.safetensors',
    'model.safetensors.index.json',
  ]);
  expect(JSON.parse(await readFile(`${path}.index.json`, 'utf8'))).toEqual({
    metadata: { total_size: 48 },
    weight_map: {
      a: 'model-00001-of-00002.safetensors',
      b: 'model-00002-of-00002.safetensors',
      c: 'model-00001-of-00002.safetensors',
    },
  });
});

test('a failed write leaves nothing', async () => {
  const folder = await tempFolder();
  const list = [info('a', 'F32', [4]), info('b', 'F32', [4])];
  const write = writeSafetensors(join(folder, 'model.safetensors'), {
    tensors: list,
    maxShardSize: 16,
    write: ({ name, bytes }) => new Uint8Array(name === 'a' ? bytes : 1),
  });
  await expect(write).rejects.toMatchObject({ code: 'tensor-bytes' });
  expect(await readdir(folder)).toEqual([]);
});

test('reads and describes the bundled checkpoint', async () => {
  const file = await openSafetensors(new URL('../../../models/nano-scout', import.meta.url).pathname);
  const description = describeSafetensors(file);
  expect(description).toMatchObject({ format: 'safetensors', parts: [{}, {}] });
  expect(description.tensors).toHaveLength(file.tensors.size);
  expect(renderSafetensors(description)).toContain('in 2 parts');
  await file.close();
});

const t = { dtype: 'F32', shape: [2], data_offsets: [0, 8] };
const cases: [what: string, code: string, bytes: Buffer][] = [
  ['an empty file', 'safetensors-truncated', Buffer.alloc(0)],
  ['a header past the end', 'safetensors-truncated', raw({ t }, 0, 1000)],
  ['a header of 2^63', 'safetensors-header-too-large', raw({ t }, 8, 2n ** 63n)],
  ['no JSON', 'safetensors-bad-json', raw('{"t":', 0)],
  ['an array', 'safetensors-bad-json', raw('[]', 0)],
  ['deep nesting', 'safetensors-bad-json', raw('['.repeat(100_000), 0)],
  ['bad UTF-8', 'safetensors-bad-utf8', raw(Buffer.from([0x7b, 0xff, 0x7d]), 0)],
  [
    'a name twice',
    'safetensors-duplicate-key',
    raw(`{"t":${JSON.stringify(t)},"t":${JSON.stringify(t)}}`, 8),
  ],
  ['a dtype twice', 'safetensors-duplicate-key', raw('{"t":{"dtype":"F32","dtype":"I32"}}', 8)],
  ['metadata of numbers', 'safetensors-bad-metadata', raw({ __metadata__: { a: 1 } }, 0)],
  ['metadata of null', 'safetensors-bad-metadata', raw({ __metadata__: null }, 0)],
  ['a control character', 'safetensors-bad-name', raw({ 'a\u001b': t }, 8)],
  ['no tensor entry', 'safetensors-bad-tensor', raw({ t: null }, 0)],
  ['an unknown dtype', 'safetensors-unknown-dtype', raw({ t: { ...t, dtype: 'F31' } }, 8)],
  ['a dtype from Object', 'safetensors-unknown-dtype', raw({ t: { ...t, dtype: 'constructor' } }, 8)],
  ['a negative dimension', 'safetensors-bad-tensor', raw({ t: { ...t, shape: [-2] } }, 8)],
  ['a broken dimension', 'safetensors-bad-tensor', raw({ t: { ...t, shape: [0.5, 4] } }, 8)],
  ['an overflowing shape', 'safetensors-bad-tensor', raw({ t: { ...t, shape: Array(9).fill(2 ** 50) } }, 8)],
  ['half a byte', 'safetensors-bad-tensor', raw({ t: { dtype: 'F4', shape: [3], data_offsets: [0, 2] } }, 2)],
  ['another size', 'safetensors-bad-tensor', raw({ t: { ...t, shape: [3] } }, 8)],
  ['one offset', 'safetensors-bad-tensor', raw({ t: { ...t, data_offsets: [8] } }, 8)],
  ['overlap', 'safetensors-bad-offsets', raw({ t, u: { ...t, data_offsets: [4, 12] } }, 12)],
  ['a gap', 'safetensors-bad-offsets', raw({ t, u: { ...t, data_offsets: [9, 17] } }, 17)],
  ['a tensor past the end', 'safetensors-wrong-size', raw({ t }, 7)],
  ['bytes behind the tensors', 'safetensors-wrong-size', raw({ t }, 9)],
];

describe('refuses, with one line and a code,', () => {
  test.each(cases)('%s', async (_, code, bytes) => {
    const path = join(await tempFolder(), 'x.safetensors');
    await writeFile(path, bytes);
    const error = await openSafetensors(path).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(CriaError);
    expect(error.code).toBe(code);
    expect(error.message).toMatch(/^\P{Cc}+$/u);
  });

  const shard = 'model-1.safetensors';
  const indices: [what: string, code: string, index: unknown][] = [
    ['an index without a map', 'safetensors-bad-index', { metadata: {} }],
    ['an index of numbers', 'safetensors-bad-index', { weight_map: { t: 1 } }],
    ['a shard above the folder', 'safetensors-shard-path', { weight_map: { t: '../x.safetensors' } }],
    ['a shard at the root', 'safetensors-shard-path', { weight_map: { t: '/etc/x.safetensors' } }],
    ['a shard by backslash', 'safetensors-shard-path', { weight_map: { t: '..\\x.safetensors' } }],
    ['a shard of another kind', 'safetensors-shard-path', { weight_map: { t: 'pytorch.bin' } }],
    ['a missing shard', 'safetensors-missing-shard', { weight_map: { t: shard, u: 'model-2.safetensors' } }],
    ['a missing tensor', 'safetensors-missing-tensor', { weight_map: { t: shard, u: shard } }],
  ];
  test.each(indices)('%s', async (_, code, index) => {
    const folder = await tempFolder();
    await writeFile(join(folder, shard), raw({ t }, 8));
    await writeFile(join(folder, 'model.safetensors.index.json'), JSON.stringify(index));
    await expect(openSafetensors(folder)).rejects.toMatchObject({ name: 'CriaError', code });
  });

  test('a folder without a checkpoint', async () => {
    const folder = await tempFolder();
    await expect(openSafetensors(folder)).rejects.toMatchObject({
      kind: 'not-found',
      code: 'no-safetensors',
    });
    await expect(openSafetensors(join(folder, 'x'))).rejects.toMatchObject({ code: 'no-such-file' });
  });
});

test('files with changed headers never raise anything but CriaError', async () => {
  const path = join(await tempFolder(), 'x.safetensors');
  const valid = raw(
    { __metadata__: { a: 'b' }, t, u: { dtype: 'U8', shape: [3], data_offsets: [8, 11] } },
    11,
  );
  const change = fc.tuple(
    fc.nat(valid.length - 1),
    fc.oneof(fc.nat(255), fc.constantFrom(...Buffer.from('{}[]",:09e-'))),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
      const bytes = Buffer.from(valid);
      for (const [at, value] of changes) bytes[at] = value;
      await writeFile(path, bytes);
      const error = await openSafetensors(path).then(
        (file) => file.close(),
        (thrown) => thrown,
      );
      if (error !== undefined) expect(error).toBeInstanceOf(CriaError);
    }),
    { numRuns: 400 },
  );
});
