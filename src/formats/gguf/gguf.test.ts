import { createHash } from 'node:crypto';
import { readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { tempFolder } from '../../base/testing/temp-folder.js';
import { GGML_TYPES, type GgmlType, rowBytes } from '../ggml-types.js';
import type { Metadata, MetadataArray, MetadataValue, TensorInfo } from '../tensor-source.js';
import {
  createGgufWriter,
  describeGguf,
  mergeGguf,
  openGguf,
  renderGguf,
  splitGguf,
  writeGguf,
} from './index.js';

function info(name: string, type: GgmlType, shape: readonly number[]): TensorInfo {
  const rows = shape.slice(1).reduce((a, b) => a * b, 1);
  return { name, type, shape, bytes: rowBytes(type, shape[0]!) * rows };
}

/** Bytes that tell tensors and places apart. */
function content({ name, bytes }: TensorInfo): Uint8Array {
  const seed = createHash('sha256').update(name).digest();
  return Uint8Array.from({ length: bytes }, (_, i) => seed[i % 32]! ^ (i >> 5));
}

const metadata: Metadata = new Map<string, MetadataValue>([
  ['general.architecture', { type: 'string', value: 'llama4' }],
  ['general.size', { type: 'uint64', value: 2n ** 64n - 1n }],
  ['tokens', { type: 'array', items: 'string', value: ['a', '', '🦙'] }],
]);
const tensors = [
  info('output.weight', 'Q8_0', [64, 3]),
  info('blk.1.norm', 'F32', [5]),
  info('blk.0.experts', 'Q4_K', [256, 2, 3, 2]),
  info('blk.0.norm', 'F16', [7]),
  info('b', 'BF16', [3, 3]),
];

describe('round trip', () => {
  test('every block type', async () => {
    const path = join(await tempFolder(), 'x.gguf');
    const all = GGML_TYPES.map(({ name, blockSize }) => info(`t.${name}`, name, [2 * blockSize, 3]));
    await writeGguf(path, { metadata, tensors: all, write: content });
    const file = await openGguf(path);
    expect(file.metadata).toEqual(metadata);
    for (const tensor of all) {
      expect(file.tensors.get(tensor.name)).toMatchObject(tensor);
      const rows = new Uint8Array((tensor.bytes / 3) * 2);
      await file.readRows(tensor.name, 1, 2, rows);
      expect(rows).toEqual(content(tensor).subarray(tensor.bytes / 3));
    }
    await file.close();
  });

  const scalars: { [type in Exclude<MetadataValue['type'], 'array'>]: fc.Arbitrary<unknown> } = {
    uint8: fc.integer({ min: 0, max: 0xff }),
    int8: fc.integer({ min: -0x80, max: 0x7f }),
    uint16: fc.integer({ min: 0, max: 0xffff }),
    int16: fc.integer({ min: -0x8000, max: 0x7fff }),
    uint32: fc.integer({ min: 0, max: 0xffffffff }),
    int32: fc.integer(),
    float32: fc.float(),
    float64: fc.double(),
    uint64: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    int64: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    bool: fc.boolean(),
    string: fc.string({ unit: 'grapheme' }),
  };
  const scalarTypes = fc.constantFrom(...(Object.keys(scalars) as (keyof typeof scalars)[]));
  const flat: fc.Arbitrary<MetadataArray> = scalarTypes.chain((items) =>
    fc
      .array(scalars[items], { maxLength: 5 })
      .map((value) => ({ type: 'array', items, value }) as MetadataArray),
  );
  const nested: fc.Arbitrary<MetadataArray> = fc
    .array(flat, { maxLength: 3 })
    .map((value) => ({ type: 'array', items: 'array', value }));
  const scalar = scalarTypes.chain((type) =>
    scalars[type].map((value) => ({ type, value }) as MetadataValue),
  );
  const key = fc.stringMatching(/^[\w.\-é🦙]{1,30}$/u).filter((k) => k !== 'general.alignment');

  test('any metadata, in order', async () => {
    const path = join(await tempFolder(), 'x.gguf');
    const pairs = fc.uniqueArray(fc.tuple(key, fc.oneof(scalar, flat, nested)), {
      selector: ([k]) => k,
      maxLength: 8,
    });
    await fc.assert(
      fc.asyncProperty(pairs, fc.constantFrom(undefined, 8, 64, 4096), async (entries, alignment) => {
        const written: Metadata = new Map<string, MetadataValue>([
          ...entries,
          ...(alignment === undefined
            ? []
            : [['general.alignment', { type: 'uint32', value: alignment }] as [string, MetadataValue]]),
        ]);
        await writeGguf(path, { metadata: written, tensors: [], write: content });
        const file = await openGguf(path);
        expect([...file.metadata]).toEqual([...written]);
        expect(file.alignment).toBe(alignment ?? 32);
        await file.close();
      }),
      { numRuns: 60 },
    );
  });

  test('a vocabulary as large as Llama 4 has, larger than the first read', async () => {
    const path = join(await tempFolder(), 'x.gguf');
    const words = (n: number) => Array.from({ length: n }, (_, i) => `Ġtoken ${i}`);
    const large: Metadata = new Map<string, MetadataValue>([
      ['tokenizer.ggml.tokens', { type: 'array', items: 'string', value: words(202_048) }],
      ['tokenizer.ggml.token_type', { type: 'array', items: 'int32', value: Array(202_048).fill(1) }],
      ['tokenizer.ggml.merges', { type: 'array', items: 'string', value: words(439_802) }],
    ]);
    await writeGguf(path, { metadata: large, tensors, write: content });
    const file = await openGguf(path);
    for (const [name, { value }] of large) expect(file.metadata.get(name)!.value).toEqual(value);
    await file.close();
  });
});

describe('writer', () => {
  test('takes pieces in any order and pads with zeros', async () => {
    const path = join(await tempFolder(), 'x.gguf');
    const writer = await createGgufWriter(path, { metadata, tensors });
    const { tensors: places } = writer.layout[0]!;
    expect(places.map(({ offset }) => offset % 32)).toEqual([0, 0, 0, 0, 0]);
    const pieces = tensors.flatMap((tensor) => {
      const bytes = content(tensor);
      const middle = bytes.length >> 1;
      return [
        { name: tensor.name, at: middle, bytes: bytes.subarray(middle) },
        { name: tensor.name, at: 0, bytes: bytes.subarray(0, middle) },
      ];
    });
    await Promise.all(pieces.reverse().map(({ name, at, bytes }) => writer.writeAt(name, at, bytes)));
    await writer.commit();
    const inOrder = join(await tempFolder(), 'y.gguf');
    await writeGguf(inOrder, { metadata, tensors, write: content });
    const bytes = await readFile(path);
    expect(bytes.equals(await readFile(inOrder))).toBe(true);
    const last = places.at(-1)!;
    expect([...bytes.subarray(last.offset + last.bytes)]).toEqual(Array(14).fill(0));
  });

  test('refuses bytes too few, too many or twice, and leaves no file', async () => {
    const folder = await tempFolder();
    const path = join(folder, 'x.gguf');
    for (const pieces of [0, 2]) {
      const wrong = (t: TensorInfo) => [content(t), new Uint8Array(4)].slice(0, pieces);
      const write = writeGguf(path, { metadata, tensors, write: wrong });
      await expect(write).rejects.toMatchObject({ code: 'tensor-bytes' });
    }
    const writer = await createGgufWriter(path, { metadata, tensors });
    await writer.writeAt('b', 0, new Uint8Array(10));
    await expect(writer.writeAt('b', 9, new Uint8Array(1))).rejects.toMatchObject({ code: 'tensor-bytes' });
    await expect(writer.writeAt('c', 0, new Uint8Array(1))).rejects.toMatchObject({ code: 'tensor-bytes' });
    await expect(writer.commit()).rejects.toMatchObject({ code: 'tensor-bytes' });
    expect(await readdir(folder)).toEqual([]);
  });

  test('refuses what the format cannot say', async () => {
    const path = join(await tempFolder(), 'x.gguf');
    const refuse = (code: string, extra: TensorInfo[], pairs: [string, MetadataValue][] = []) =>
      expect(
        createGgufWriter(path, { metadata: new Map(pairs), tensors: extra }),
        code,
      ).rejects.toMatchObject({ code });
    await refuse('gguf-name-too-long', [info('x'.repeat(64), 'F32', [1])]);
    await refuse('gguf-bad-value', [tensors[0]!, tensors[0]!]);
    await refuse('gguf-bad-value', [{ ...tensors[0]!, bytes: 1 }]);
    await refuse('gguf-bad-value', [info('x', 'F32', [1, 0])]);
    await refuse('gguf-bad-value', [], [['k', { type: 'uint8', value: 256 }]]);
    await refuse('gguf-bad-value', [], [['k', { type: 'int32', value: 0.5 }]]);
    await refuse('gguf-bad-value', [], [['k', { type: 'string', value: '\ud800' }]]);
    await refuse('gguf-bad-value', [], [['', { type: 'bool', value: true }]]);
    await refuse('gguf-bad-value', [], [['general.alignment', { type: 'uint32', value: 24 }]]);
  });

  test('places tensors past 4 GiB', async () => {
    const path = join(await tempFolder(), 'x.gguf');
    const far = [info('large', 'F32', [2 ** 20, 1100]), info('small', 'F32', [8])];
    const writer = await createGgufWriter(path, { metadata, tensors: far });
    const offset = writer.layout[0]!.tensors[1]!.offset;
    expect(offset).toBeGreaterThan(2 ** 32);
    await writer.writeAt('large', far[0]!.bytes - 4, Buffer.from('tail'));
    await writer.writeTensor('small', content(far[1]!));
    // The rest of the large tensor stays a hole: writing 4 GiB would make the test slow.
    const tail = Buffer.alloc(4 + far[1]!.bytes);
    await rename(`${path}.partial`, path);
    const file = await openGguf(path);
    await file.read('large', far[0]!.bytes - 4, tail.subarray(0, 4));
    await file.read('small', 0, tail.subarray(4));
    expect(tail).toEqual(Buffer.concat([Buffer.from('tail'), content(far[1]!)]));
    expect(file.tensors.get('small')!.offset).toBe(offset);
    await file.close();
    await writer.discard();
  });
});

describe('split', () => {
  async function original() {
    const folder = await tempFolder();
    const path = join(folder, 'x.gguf');
    await writeGguf(path, { metadata, tensors, write: content });
    return { folder, path };
  }

  test('merged again, it is the same file', async () => {
    const { folder, path } = await original();
    for (const limits of [{ maxTensors: 2 }, { maxSize: 300 }, { maxSize: 1, maxTensors: 3 }]) {
      const parts = await splitGguf(path, join(folder, 's'), limits);
      expect(parts.length).toBeGreaterThan(1);
      await mergeGguf(parts[0]!, join(folder, 'merged.gguf'));
      expect((await readFile(path)).equals(await readFile(join(folder, 'merged.gguf')))).toBe(true);
    }
  });

  test('parts have names and keys as llama.cpp gives them, and read as one', async () => {
    const { folder } = await original();
    const aligned = new Map(metadata).set('general.alignment', { type: 'uint32', value: 64 });
    const options = { metadata: aligned, tensors, splitMaxTensors: 2, write: content };
    const parts = await writeGguf(join(folder, 'y.gguf'), options);
    expect(parts).toEqual([1, 2, 3].map((i) => join(folder, `y-0000${i}-of-00003.gguf`)));
    const file = await openGguf(parts[0]!);
    expect(file.parts.map(({ tensorCount }) => tensorCount)).toEqual([2, 2, 1]);
    expect([...file.tensors.keys()]).toEqual(tensors.map(({ name }) => name));
    expect([...file.metadata].slice(-3)).toEqual([
      ['split.no', { type: 'uint16', value: 0 }],
      ['split.count', { type: 'uint16', value: 3 }],
      ['split.tensors.count', { type: 'int32', value: 5 }],
    ]);
    for (const tensor of tensors) {
      const bytes = new Uint8Array(tensor.bytes);
      await file.read(tensor.name, 0, bytes);
      expect(bytes).toEqual(content(tensor));
      expect(file.tensors.get(tensor.name)!.offset % 64).toBe(0);
    }
    await file.close();
  });

  test('with all in one part it is a plain file, never the input', async () => {
    const { folder, path } = await original();
    expect(await splitGguf(path, join(folder, 'y'), { maxSize: 1e9 })).toEqual([join(folder, 'y.gguf')]);
    const inPlace = splitGguf(path, join(folder, 'x'), { maxSize: 1e9 });
    await expect(inPlace).rejects.toMatchObject({ kind: 'usage', code: 'same-file' });
  });

  test('refuses missing and mixed-up parts', async () => {
    const { folder, path } = await original();
    const refuse = (code: string, part: string) =>
      expect(openGguf(part), code).rejects.toMatchObject({ code });
    const parts = await splitGguf(path, join(folder, 's'), { maxTensors: 2 });
    const others = await splitGguf(path, join(folder, 'o'), { maxTensors: 1 });
    await refuse('gguf-not-first-part', parts[1]!);
    await rename(parts[0]!, join(folder, 'renamed.gguf'));
    await refuse('gguf-split-name', join(folder, 'renamed.gguf'));
    await rename(join(folder, 'renamed.gguf'), parts[0]!);
    await rename(parts[1]!, join(folder, 'away'));
    await refuse('gguf-missing-part', parts[0]!);
    await rename(others[1]!, parts[1]!);
    await refuse('gguf-mixed-parts', parts[0]!);
    await rename(parts[2]!, parts[1]!);
    await rename(join(folder, 'away'), parts[2]!);
    await refuse('gguf-mixed-parts', parts[0]!);
    await refuse('gguf-missing-part', others[0]!);
    await rm(parts[1]!);
    await refuse('gguf-missing-part', parts[0]!);
  });
});

test('describes a model of several parts', async () => {
  const folder = await tempFolder();
  const [first] = await writeGguf(join(folder, 'x.gguf'), {
    metadata,
    tensors,
    splitMaxTensors: 3,
    write: content,
  });
  const file = await openGguf(first!);
  const description = describeGguf(file);
  await file.close();
  expect(description).toMatchObject({
    format: 'gguf',
    version: 3,
    weights: 192 + 5 + 3072 + 7 + 9,
    types: [
      { type: 'Q4_K', tensors: 1 },
      { type: 'Q8_0' },
      { type: 'F32' },
      { type: 'BF16' },
      { type: 'F16' },
    ],
  });
  expect(description.parts.map((part) => part.tensors)).toEqual([3, 2]);
  expect(description.bitsPerWeight).toBeCloseTo((8 * description.tensorBytes) / description.weights);
  expect(JSON.parse(JSON.stringify(description)).metadata).toContainEqual({
    key: 'general.size',
    type: 'uint64',
    value: '18446744073709551615',
  });
  const text = renderGguf(description);
  expect(text).toContain('tokens                string[3]  ["a", "", "🦙"]');
  expect(text).toContain('5 tensors, 3285 weights');
});

test('reads the importance matrix that llama.cpp wrote', async () => {
  const file = await openGguf(
    new URL('../../../test/golden/nano-scout/imatrix.gguf', import.meta.url).pathname,
  );
  expect(file.metadata.get('imatrix.chunk_size')).toEqual({ type: 'uint32', value: 512 });
  expect(file.tensors.get('blk.0.ffn_down_exps.weight.in_sum2')).toMatchObject({
    type: 'F32',
    shape: [256, 8],
  });
  await file.close();
});
