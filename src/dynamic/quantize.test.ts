import { open, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CriaError } from '../base/errors.js';
import { tempFolder } from '../base/testing/temp-folder.js';
import { rowBytes } from '../formats/ggml-types.js';
import { openGguf, writeGguf } from '../formats/gguf/index.js';
import { type Imatrix, importanceOf } from '../formats/imatrix/index.js';
import type { TensorInfo, TensorSource } from '../formats/tensor-source.js';
import { blockFormat } from '../quant/index.js';
import { type QuantizeOptions, quantizeModel } from './quantize.js';
import { resolvePlan, uniformPlan } from './type-plan.js';

const SHAPES: Readonly<Record<string, readonly number[]>> = {
  'token_embd.weight': [256, 40],
  'blk.0.attn_norm.weight': [256],
  'blk.0.attn_k.weight': [96, 5],
  // More than one piece per expert.
  'blk.0.ffn_up_exps.weight': [256, 2100, 2],
  'output.weight': [256, 40],
};
const EXPERTS = 'blk.0.ffn_up_exps.weight';

function weights(name: string): Float32Array {
  let state = name.length;
  const count = SHAPES[name]!.reduce((product, n) => product * n, 1);
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

const VALUES = new Map(Object.keys(SHAPES).map((name) => [name, weights(name)]));

function memorySource(values: ReadonlyMap<string, Float32Array> = VALUES): TensorSource {
  const tensors = [...values].map(
    ([name, { length }]): TensorInfo => ({ name, type: 'F32', shape: SHAPES[name]!, bytes: 4 * length }),
  );
  return {
    path: 'memory',
    metadata: new Map([['general.architecture', { type: 'string', value: 'llama4' }]]),
    tensors: new Map(tensors.map((info) => [info.name, info])),
    async readRows(name, start, count, target) {
      const columns = SHAPES[name]![0]!;
      const rows = values.get(name)!.slice(start * columns, (start + count) * columns);
      target.set(new Uint8Array(rows.buffer));
    },
    async close() {},
  };
}

const source = memorySource();
const plan = (type: 'BF16' | 'Q4_0' | 'Q8_0') =>
  resolvePlan(source.tensors.values(), { types: uniformPlan(source.tensors.values(), type) }).plan;
const options = { plan: plan('Q8_0'), fileType: 7 } satisfies QuantizeOptions;

/** The second expert was never reached. */
const IMATRIX: Imatrix = {
  datasets: ['text'],
  chunkCount: 1,
  chunkSize: 512,
  entries: new Map([
    [EXPERTS, { sums: Float32Array.from({ length: 512 }, (_, i) => (i % 7) ** 2), counts: [3, 0] }],
  ]),
};

async function quantized(more: Partial<QuantizeOptions> = {}, from = source): Promise<Buffer> {
  const out = join(await tempFolder(), 'out.gguf');
  expect(await quantizeModel(from, out, { ...options, threads: 2, ...more })).toEqual([out]);
  return readFile(out);
}

describe('quantizeModel', () => {
  it('encodes every row as the encoders do, each expert with its own importance', async () => {
    const folder = await tempFolder();
    const out = join(folder, 'out.gguf');
    await quantizeModel(source, out, { plan: plan('Q4_0'), fileType: 2, imatrix: IMATRIX });
    expect(await readdir(folder)).toEqual(['out.gguf']);
    const file = await openGguf(out);
    expect(file.metadata.get('general.file_type')?.value).toBe(2);
    expect(file.metadata.get('general.quantization_version')?.value).toBe(2);
    expect([...file.tensors.keys()]).toEqual([...source.tensors.keys()]);
    for (const { name, type, shape, bytes } of file.tensors.values()) {
      const found = new Uint8Array(bytes);
      await file.read(name, 0, found);
      const matrices = shape[2] ?? 1;
      const values = VALUES.get(name)!;
      const expected = Array.from({ length: matrices }, (_, matrix) => {
        const part = values.subarray(
          (matrix * values.length) / matrices,
          ((matrix + 1) * values.length) / matrices,
        );
        const target = new Uint8Array((part.length / shape[0]!) * rowBytes(type, shape[0]!));
        const entry = IMATRIX.entries.get(name);
        blockFormat(type).encode!(part, target, shape[0]!, entry && importanceOf(entry, matrix));
        return target;
      });
      expect(Buffer.compare(found, Buffer.concat(expected)), name).toBe(0);
    }
    await file.close();
  });

  it('writes the same bytes with any number of threads', async () => {
    const one = await quantized({ threads: 1 });
    expect((await quantized({ threads: 2 })).equals(one)).toBe(true);
    expect((await quantized({ threads: 3 })).equals(one)).toBe(true);
  });

  it('copies tensors that have their type already', async () => {
    const folder = await tempFolder();
    const [first, second] = [join(folder, 'a.gguf'), join(folder, 'b.gguf')];
    await quantizeModel(source, first, options);
    const input = await openGguf(first);
    await quantizeModel(input, second, options);
    await input.close();
    expect((await readFile(second)).equals(await readFile(first))).toBe(true);
  });

  it('keeps the files of a split input', async () => {
    const folder = await tempFolder();
    const paths = await writeGguf(join(folder, 'in.gguf'), {
      metadata: source.metadata,
      tensors: [...source.tensors.values()],
      splitMaxTensors: 2,
      write: ({ name }) => new Uint8Array(VALUES.get(name)!.buffer),
    });
    const input = await openGguf(paths[0]!);
    const tensorsPerFile = input.parts.map((part) => part.tensorCount);
    const written = await quantizeModel(input, join(folder, 'out.gguf'), { ...options, tensorsPerFile });
    await input.close();
    expect(written.map((path) => path.slice(folder.length + 1))).toEqual([
      'out-00001-of-00003.gguf',
      'out-00002-of-00003.gguf',
      'out-00003-of-00003.gguf',
    ]);
    const output = await openGguf(written[0]!);
    expect(output.parts.map((part) => part.tensorCount)).toEqual(tensorsPerFile);
    await output.close();
  });
});

describe('an interrupted run', () => {
  /** Stops when this share of the bytes is done, and returns the output path. */
  async function interrupted(share: number, more: Partial<QuantizeOptions> = {}): Promise<string> {
    const out = join(await tempFolder(), 'out.gguf');
    const onProgress = (done: number, total: number) => {
      if (done >= share * total) throw new CriaError('cancelled', 'cancelled', 'stopped');
    };
    await expect(quantizeModel(source, out, { ...options, ...more, onProgress })).rejects.toMatchObject({
      code: 'cancelled',
    });
    return out;
  }

  async function resumed(out: string, more: Partial<QuantizeOptions> = {}): Promise<{ from: number }> {
    let from: number | undefined;
    const onProgress = (done: number) => {
      from ??= done;
    };
    await quantizeModel(source, out, { ...options, ...more, onProgress });
    return { from: from! };
  }

  it('goes on from any point and ends with the same bytes', async () => {
    const whole = await quantized();
    await fc.assert(
      fc.asyncProperty(
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.integer({ min: 1, max: 3 }),
        async (share, threads) => {
          const out = await interrupted(share, { threads });
          const { from } = await resumed(out);
          if (share > 1e-6) expect(from).toBeGreaterThan(0);
          expect((await readFile(out)).equals(whole)).toBe(true);
          expect(await readdir(join(out, '..'))).toEqual(['out.gguf']);
        },
      ),
      { numRuns: 6 },
    );
  });

  it('does again what may not have reached the disk', async () => {
    const out = await interrupted(0.7);
    const journal = `${out}.partial.json`;
    const { fingerprint } = JSON.parse(await readFile(journal, 'utf8'));
    await writeFile(journal, JSON.stringify({ fingerprint, pieces: 2 }));
    const whole = await quantized();
    const partial = await open(`${out}.partial`, 'r+');
    // Behind the header and the first two tensors.
    const garbage = Buffer.alloc(100_000, 0xff);
    await partial.write(garbage, 0, garbage.length, whole.length - 600_000);
    await partial.close();
    expect((await resumed(out)).from).toBe(40 * 272 + 1024);
    expect((await readFile(out)).equals(whole)).toBe(true);
  });

  it.each([
    ['another plan', { plan: plan('BF16') }],
    ['another importance matrix', { imatrix: IMATRIX }],
  ])('starts over for %s', async (_, more) => {
    const out = await interrupted(0.7);
    expect((await resumed(out, more)).from).toBe(0);
    expect((await readFile(out)).equals(await quantized(more))).toBe(true);
  });

  it('starts over when its journal or its bytes are damaged', async () => {
    const whole = await quantized();
    for (const [name, content] of [
      ['out.gguf.partial.json', '{'],
      ['out.gguf.partial', 'short'],
    ]) {
      const out = await interrupted(0.7);
      await writeFile(join(out, '..', name!), content!);
      expect((await resumed(out)).from).toBe(0);
      expect((await readFile(out)).equals(whole)).toBe(true);
    }
  });

  it('stops at the signal', async () => {
    const out = join(await tempFolder(), 'out.gguf');
    await expect(
      quantizeModel(source, out, { ...options, signal: AbortSignal.abort() }),
    ).rejects.toMatchObject({ kind: 'cancelled' });
  });
});

describe('bad input leaves nothing behind', () => {
  async function refused(more: Partial<QuantizeOptions>, from = source): Promise<CriaError> {
    const folder = await tempFolder();
    const error = await quantizeModel(from, join(folder, 'out.gguf'), { ...options, ...more }).catch(
      (e) => e,
    );
    expect(error).toBeInstanceOf(CriaError);
    expect(await readdir(folder)).toEqual([]);
    return error;
  }

  it.each([
    ['blk.0.attn_norm.weight', Number.NaN, 9, 'found NaN at row 0, column 9'],
    [EXPERTS, Number.NEGATIVE_INFINITY, 256 * 4000 + 3, 'found -Infinity at row 4000, column 3'],
  ])('a weight in %s that is %d', async (name, value, at, found) => {
    const values = new Map(VALUES).set(name, VALUES.get(name)!.slice());
    values.get(name)![at] = value;
    const error = await refused({}, memorySource(values));
    expect(error.code).toBe('non-finite-weights');
    expect(error.message).toBe(`tensor "${name}": expected finite weights, ${found}`);
  });

  it('a type without weights', async () => {
    const error = await refused({ plan: new Map([['output.weight', 'I32']]) });
    expect(error).toMatchObject({ kind: 'unsupported', code: 'no-block-format' });
  });

  it('an importance matrix of another shape', async () => {
    const entries = new Map([[EXPERTS, { sums: new Float32Array(64), counts: [1] }]]);
    for (const imatrix of [
      { ...IMATRIX, entries },
      { ...IMATRIX, entries: new Map() },
    ]) {
      expect(await refused({ imatrix })).toMatchObject({ kind: 'bad-file', code: 'imatrix-mismatch' });
    }
  });

  it('an output that is the input', async () => {
    const out = join(await tempFolder(), 'model.gguf');
    await quantizeModel(source, out, options);
    const input = await openGguf(out);
    await expect(quantizeModel(input, out, options)).rejects.toMatchObject({ code: 'same-file' });
    await input.close();
  });

  it('a folder where the file should go', async () => {
    const folder = await tempFolder();
    await expect(quantizeModel(source, folder, options)).rejects.toMatchObject({ code: 'not-a-file' });
  });
});
