import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { goldenPath } from '../../../test/golden.js';
import { CriaError } from '../../base/errors.js';
import { tempFolder } from '../../base/testing/temp-folder.js';
import { writeGguf } from '../gguf/index.js';
import type { MetadataValue, TensorInfo } from '../tensor-source.js';
import {
  fitEntry,
  type Imatrix,
  type ImatrixEntry,
  importanceOf,
  mergeImatrices,
  readImatrix,
  writeImatrix,
} from './index.js';

const float = fc.float({ min: 0, max: 2 ** 60, noNaN: true, noDefaultInfinity: true });

function entryOf(matrices: number, columns: number): fc.Arbitrary<ImatrixEntry> {
  return fc
    .record({
      sums: fc.array(float, { minLength: matrices * columns, maxLength: matrices * columns }),
      counts: fc.array(fc.integer({ min: 0, max: 1 << 20 }), { minLength: matrices, maxLength: matrices }),
    })
    .map(({ sums, counts }) => ({ sums: Float32Array.from(sums), counts: Float32Array.from(counts) }));
}

const SHAPES: readonly (readonly [string, number, number])[] = [
  ['blk.0.attn_q.weight', 1, 4],
  ['blk.0.ffn_up_exps.weight', 3, 5],
  ['blk.10.ffn_down.weight', 1, 1],
  ['output.weight', 1, 2],
];

const imatrices: fc.Arbitrary<Imatrix> = fc.record({
  datasets: fc.constant(['a.txt', 'b.txt']),
  datasetHashes: fc.constantFrom(new Map(), new Map([['b.txt', 'ab12']])),
  chunkCount: fc.nat(1e6),
  chunkSize: fc.integer({ min: 1, max: 4096 }),
  entries: fc
    .tuple(...SHAPES.map(([, matrices, columns]) => entryOf(matrices, columns)))
    .map((entries) => new Map(entries.map((entry, i) => [SHAPES[i]![0], entry]))),
});

describe('the file of llama-imatrix', () => {
  test('is read and written back byte for byte', async () => {
    const imatrix = await readImatrix(goldenPath('imatrix.gguf'));
    expect(imatrix.chunkSize).toBe(512);
    expect(imatrix.entries.get('output.weight')!.sums).toHaveLength(256);
    const experts = imatrix.entries.get('blk.0.ffn_down_exps.weight')!;
    expect(experts.counts).toHaveLength(8);
    expect(experts.sums).toHaveLength(8 * 256);
    const path = join(await tempFolder(), 'again.gguf');
    await writeImatrix(path, imatrix);
    expect((await readFile(path)).equals(await readFile(goldenPath('imatrix.gguf')))).toBe(true);
  });

  test('keeps its importances in the legacy form', async () => {
    const imatrix = await readImatrix(goldenPath('imatrix.gguf'));
    const path = join(await tempFolder(), 'old.dat');
    await writeImatrix(path, imatrix, 'dat');
    const legacy = await readImatrix(path);
    expect(legacy.datasets).toEqual(imatrix.datasets);
    expect(legacy.chunkCount).toBe(imatrix.chunkCount);
    for (const [name, entry] of imatrix.entries) {
      const matrices = entry.counts.length;
      const found = fitEntry(name, legacy.entries.get(name)!, entry.sums.length / matrices, matrices);
      for (let matrix = 0; matrix < matrices; matrix++) {
        const expected = importanceOf(entry, matrix)!;
        importanceOf(found, matrix)!.forEach((value, i) => {
          expect(Math.abs(value - expected[i]!)).toBeLessThanOrEqual(expected[i]! * 1e-6);
        });
      }
    }
  });
});

describe('round trips', () => {
  test('GGUF gives every value back', async () => {
    const path = join(await tempFolder(), 'x.gguf');
    await fc.assert(
      fc.asyncProperty(imatrices, async (imatrix) => {
        await writeImatrix(path, imatrix);
        expect(await readImatrix(path)).toEqual(imatrix);
      }),
      { numRuns: 30 },
    );
  });

  test('the legacy form read and written again is the same file', async () => {
    const path = join(await tempFolder(), 'x.dat');
    await fc.assert(
      fc.asyncProperty(imatrices, async (imatrix) => {
        // Its reader assumes windows of 512 tokens.
        await writeImatrix(path, { ...imatrix, chunkSize: 512 }, 'dat');
        const bytes = await readFile(path);
        await writeImatrix(path, await readImatrix(path), 'dat');
        const again = await readFile(path);
        expect(again).toHaveLength(bytes.length);
        expect(again.subarray(0, 40)).toEqual(bytes.subarray(0, 40));
      }),
      { numRuns: 30 },
    );
  });

  test('merging adds, whatever the order', () => {
    fc.assert(
      fc.property(imatrices, imatrices, (a, b) => {
        const merged = mergeImatrices([a, b]);
        expect(merged.chunkCount).toBe(a.chunkCount + b.chunkCount);
        for (const [name, entry] of mergeImatrices([b, a]).entries) {
          expect(merged.entries.get(name)).toEqual(entry);
        }
        for (const [name, { sums, counts }] of merged.entries) {
          const [left, right] = [a.entries.get(name)!, b.entries.get(name)!];
          sums.forEach((sum, i) => {
            expect(sum).toBe(left.sums[i]! + right.sums[i]!);
          });
          expect(counts[0]).toBe(left.counts[0]! + right.counts[0]!);
        }
      }),
      { numRuns: 30 },
    );
  });
});

describe('entries', () => {
  const entry = { sums: Float32Array.of(2, 4, 6, 8), counts: [2, 0] };

  test('importance is the mean square, and unknown where nothing was seen', () => {
    expect(importanceOf(entry, 0)).toEqual(Float32Array.of(1, 2));
    expect(importanceOf(entry, 1)).toBeUndefined();
  });

  test('one count serves all experts of a legacy entry', () => {
    const fitted = fitEntry('w', { sums: entry.sums, counts: [2] }, 2, 2);
    expect(importanceOf(fitted, 1)).toEqual(Float32Array.of(3, 4));
  });

  test('of another model are refused', () => {
    const merge = () =>
      mergeImatrices(
        [4, 6].map((columns) => ({
          datasets: [],
          chunkCount: 1,
          chunkSize: 1,
          entries: new Map([['w', { sums: new Float32Array(columns), counts: [1] }]]),
        })),
      );
    expect(merge).toThrow(expect.objectContaining({ code: 'imatrix-mismatch' }));
    expect(() => fitEntry('w', entry, 3, 2)).toThrow(
      /expected importance data for 2 × 3 columns, found 2 × 2/,
    );
  });
});

async function gguf(
  tensors: readonly [name: string, shape: readonly number[], values: readonly number[]][],
  type = 'imatrix',
): Promise<string> {
  const path = join(await tempFolder(), 'bad.gguf');
  const metadata = new Map<string, MetadataValue>([['general.type', { type: 'string', value: type }]]);
  const infos = tensors.map(
    ([name, shape, values]): TensorInfo => ({ name, type: 'F32', shape, bytes: values.length * 4 }),
  );
  const values = new Map(tensors.map(([name, , list]) => [name, list]));
  await writeGguf(path, {
    metadata,
    tensors: infos,
    write: ({ name }) => new Uint8Array(Float32Array.from(values.get(name)!).buffer),
  });
  return path;
}

const i32 = (...values: number[]) => Buffer.from(Int32Array.from(values).buffer);
const dat = async (...parts: Uint8Array[]) => {
  const path = join(await tempFolder(), 'bad.dat');
  await writeFile(path, Buffer.concat(parts));
  return path;
};

test('tensors of other kinds are passed over', async () => {
  const path = await gguf([
    ['w.in_sum', [1], [1]],
    ['w.in_sum2', [1], [4]],
    ['w.counts', [1], [2]],
  ]);
  const { entries } = await readImatrix(path);
  expect([...entries.keys()]).toEqual(['w']);
  expect(importanceOf(entries.get('w')!)).toEqual(Float32Array.of(2));
});

describe('malformed files', () => {
  const cases: [what: string, code: string, make: () => Promise<string>][] = [
    ['a model', 'imatrix-bad-type', () => gguf([], 'model')],
    ['sums alone', 'imatrix-missing-pair', () => gguf([['w.in_sum2', [1], [1]]])],
    ['counts alone', 'imatrix-missing-pair', () => gguf([['w.counts', [1], [1]]])],
    [
      'too few counts',
      'imatrix-bad-shape',
      () =>
        gguf([
          ['w.in_sum2', [1, 2], [1, 2]],
          ['w.counts', [1], [1]],
        ]),
    ],
    [
      'a negative sum',
      'imatrix-bad-value',
      () =>
        gguf([
          ['w.in_sum2', [1], [-1]],
          ['w.counts', [1], [1]],
        ]),
    ],
    [
      'NaN',
      'imatrix-bad-value',
      () =>
        gguf([
          ['w.in_sum2', [1], [Number.NaN]],
          ['w.counts', [1], [1]],
        ]),
    ],
    ['too short for a magic', 'truncated', () => dat(Buffer.from('ab'))],
    ['a negative number of entries', 'imatrix-bad-count', () => dat(i32(-1))],
    ['endless entries', 'imatrix-truncated', () => dat(i32(900_000))],
    ['an endless name', 'imatrix-bad-count', () => dat(i32(1, 1 << 30), Buffer.alloc(64))],
    ['endless values', 'imatrix-truncated', () => dat(i32(1, 1), Buffer.from('w'), i32(1, 0x7fffffff, 0))],
    ['no values', 'imatrix-bad-shape', () => dat(i32(1, 1), Buffer.from('w'), i32(1, 0, 0))],
    [
      'an entry twice',
      'imatrix-bad-name',
      () => dat(i32(2), ...['w', 'w'].flatMap((n) => [i32(1), Buffer.from(n), i32(1, 1, 0)])),
    ],
    ['trailing bytes', 'imatrix-trailing-bytes', () => dat(i32(0, 1, 0), Buffer.alloc(3))],
  ];
  test.each(cases)('%s', async (_, code, make) => {
    await expect(readImatrix(await make())).rejects.toMatchObject({ code, kind: 'bad-file' });
  });

  test('any bytes give an imatrix or one of our errors', async () => {
    const path = join(await tempFolder(), 'any');
    const whole = await readFile(goldenPath('imatrix.gguf'));
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length), fc.nat(9000), fc.nat(255), async (length, at, value) => {
        const bytes = Buffer.from(whole.subarray(0, length));
        if (at < length) bytes[at] = value;
        await writeFile(path, bytes);
        await readImatrix(path).catch((error) => expect(error).toBeInstanceOf(CriaError));
      }),
      { numRuns: 40 },
    );
  });
});
