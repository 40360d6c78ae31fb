import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { rowBytes } from '../../formats/ggml-types.js';
import { type SafetensorsDtype, tensorBytes, writeSafetensors } from '../../formats/safetensors/index.js';
import { rowCount } from '../../formats/tensor-source.js';
import { E4M3_VALUES } from '../../quant/float8.js';
import { openCheckpoint } from '../checkpoint-source.js';
import { tinyWeights, writeTinyCheckpoint } from '../testing/tiny-checkpoint.js';
import { StoredWeights } from './stored-weights.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cria-stored-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

type Content = readonly [dtype: SafetensorsDtype, shape: readonly number[], bytes: ArrayLike<number>];

async function write(tensors: Readonly<Record<string, Content>>): Promise<void> {
  await writeSafetensors(join(folder, 'model.safetensors'), {
    tensors: Object.entries(tensors).map(([name, [dtype, shape]]) => ({
      name,
      dtype,
      shape,
      bytes: tensorBytes(dtype, shape),
    })),
    write: ({ name }) => Uint8Array.from(tensors[name]![2]),
  });
}

function floats(...values: number[]): Uint8Array {
  return new Uint8Array(Float32Array.from(values).buffer);
}

async function read(name: string, first: number, count: number): Promise<number[]> {
  const weights = await StoredWeights.open(folder);
  const values = new Float32Array(count);
  await weights.read(name, first * 4, new Uint8Array(values.buffer));
  await weights.close();
  return [...values];
}

describe('FP8 weights', () => {
  const codes = [0x38, 0xb8, 0x40, 0x01, 0x7e, 0x00];
  const values = codes.map((code) => E4M3_VALUES[code]!);

  it.each([
    ['the tensor', [2, 3], [1], [2], [2, 2, 2, 2, 2, 2]],
    ['each row', [2, 3], [2, 1], [2, 4], [2, 2, 2, 4, 4, 4]],
    ['each block', [2, 3], [1, 1], [8], [8, 8, 8, 8, 8, 8]],
    ['each output of fused experts', [1, 2, 3], [1, 3, 1], [2, 4, 8], [2, 4, 8, 2, 4, 8]],
  ])('have scales for %s', async (_, shape, scaleShape, scales, factors) => {
    await write({
      'a.weight': ['F8_E4M3', shape, codes],
      'a.weight_scale': ['F32', scaleShape, floats(...scales)],
      'a.input_scale': ['F32', [1], floats(1)],
    });
    const expected = values.map((value, i) => value * factors[i]!);
    expect(await read('a.weight', 0, 6)).toEqual(expected);
    expect(await read('a.weight', 2, 3)).toEqual(expected.slice(2, 5));
    const weights = await StoredWeights.open(folder);
    expect([...weights.tensors]).toEqual([
      ['a.weight', { dtype: 'F32', shape, part: 0, scaled: true, quantized: true }],
    ]);
    await weights.close();
  });

  it('have scales for blocks of 128', async () => {
    const scales = [1, 2, 3, 4];
    await write({
      w: ['F8_E4M3', [130, 200], new Array(26000).fill(0x38)],
      w_scale: ['F32', [2, 2], floats(...scales)],
    });
    expect(await read('w', 127 * 200 + 127, 2)).toEqual([1, 2]);
    expect(await read('w', 128 * 200 + 127, 2)).toEqual([3, 4]);
  });

  it('without fitting scales are refused', async () => {
    await write({ w: ['F8_E4M3', [2, 3], codes] });
    await expect(StoredWeights.open(folder)).rejects.toMatchObject({ code: 'bad-quantized-tensor' });
    await write({ w: ['F8_E4M3', [2, 3], codes], w_scale: ['F32', [3], floats(1, 1, 1)] });
    await expect(StoredWeights.open(folder)).rejects.toMatchObject({ code: 'bad-quantized-tensor' });
  });
});

describe('8-bit weights of bitsandbytes', () => {
  const weight = (format: number): Readonly<Record<string, Content>> => ({
    'a.weight': ['I8', [2, 3], [127, 0x81, 0, 1, 2, 3]],
    'a.SCB': ['F32', [2], floats(127, 254)],
    'a.weight_format': ['U8', [], [format]],
  });

  it('are read in row order', async () => {
    await write(weight(0));
    const close = (values: number[]) => values.map((value) => expect.closeTo(value, 4));
    expect(await read('a.weight', 0, 6)).toEqual(close([127, -127, 0, 2, 4, 6]));
    expect(await read('a.weight', 2, 2)).toEqual(close([0, 2]));
  });

  it('are refused in another order', async () => {
    await write(weight(1));
    await expect(StoredWeights.open(folder)).rejects.toMatchObject({ code: 'unsupported-quantization' });
  });
});

it('4-bit weights with parts missing are refused, and other packings named', async () => {
  const state = '{"quant_type": "nf4", "blocksize": 64, "dtype": "float32", "shape": [2, 3]}';
  await write({
    'a.weight': ['U8', [3, 1], [1, 2, 3]],
    'a.weight.quant_state.bitsandbytes__nf4': ['U8', [state.length], Buffer.from(state)],
  });
  await expect(StoredWeights.open(folder)).rejects.toMatchObject({ code: 'bad-quantized-tensor' });
  await write({ 'a.weight_packed': ['I32', [1], [0, 0, 0, 0]] });
  await expect(StoredWeights.open(folder)).rejects.toMatchObject({ code: 'unsupported-quantization' });
});

describe('routed experts', () => {
  const EXPERTS = 2;
  const HIDDEN = 24;
  const WIDTH = 32;
  const prefix = 'language_model.model.layers.1.feed_forward.experts.';

  /** Replaces the experts of layer 1 by tensors of other names and shapes. */
  async function checkpoint(experts: Readonly<Record<string, number[]>>): Promise<void> {
    await writeTinyCheckpoint(folder, {
      config: { num_local_experts: EXPERTS },
      edit: (shapes) => {
        for (const name of [...shapes.keys()]) if (name.startsWith(prefix)) shapes.delete(name);
        for (const [name, shape] of Object.entries(experts)) shapes.set(prefix + name, shape);
      },
    });
  }

  /** Rows of a projection as a GGUF file has them. */
  async function rows(gguf: string): Promise<Float32Array> {
    const source = await openCheckpoint(folder);
    const { type, shape } = source.tensors.get(gguf)!;
    expect(type).toBe('F32');
    const values = new Float32Array(rowCount(shape) * shape[0]!);
    const bytes = new Uint8Array(values.buffer);
    expect(bytes.length).toBe(rowCount(shape) * rowBytes(type, shape[0]!));
    await source.readRows(gguf, 0, rowCount(shape), bytes);
    await source.close();
    return values;
  }

  const numbered = (name: (expert: number) => Record<string, number[]>) =>
    Object.assign({}, ...Array.from({ length: EXPERTS }, (_, expert) => name(expert))) as Record<
      string,
      number[]
    >;

  it('are read as lists of layers', async () => {
    await checkpoint(
      numbered((expert) => ({
        [`gate_projs.${expert}.weight`]: [HIDDEN, WIDTH],
        [`up_projs.${expert}.weight`]: [HIDDEN, WIDTH],
        [`down_projs.${expert}.weight`]: [WIDTH, HIDDEN],
      })),
    );
    const found = await rows('blk.1.ffn_down_exps.weight');
    const second = tinyWeights(`${prefix}down_projs.1.weight`, WIDTH * HIDDEN);
    expect(found.subarray(WIDTH * HIDDEN)).toEqual(second);
  });

  it.each([
    [[EXPERTS, HIDDEN, WIDTH], false],
    [[EXPERTS * HIDDEN, WIDTH], false],
    [[EXPERTS, WIDTH, HIDDEN], true],
    [[EXPERTS * WIDTH, HIDDEN], true],
  ])('are read as one layer of shape %j', async (shape, turned) => {
    await checkpoint({
      'gate_proj.weight': shape,
      'up_proj.weight': shape,
      'down_proj.weight': [EXPERTS, WIDTH, HIDDEN],
    });
    const stored = tinyWeights(`${prefix}gate_proj.weight`, EXPERTS * HIDDEN * WIDTH);
    const expected = stored.map((_, i) => {
      const [expert, row, column] = [
        Math.floor(i / HIDDEN / WIDTH),
        Math.floor(i / WIDTH) % HIDDEN,
        i % WIDTH,
      ];
      return turned ? stored[(expert * WIDTH + column) * HIDDEN + row]! : stored[i]!;
    });
    expect(await rows('blk.1.ffn_gate_exps.weight')).toEqual(expected);
  });

  it('of one layer are refused where sizes do not tell rows from columns, or do not fit', async () => {
    const joined = (shape: number[]) => ({
      'gate_proj.weight': shape,
      'up_proj.weight': shape,
      'down_proj.weight': shape,
    });
    await checkpoint(joined([EXPERTS, HIDDEN, WIDTH + 1]));
    await expect(openCheckpoint(folder)).rejects.toMatchObject({ code: 'wrong-shape' });
    await writeTinyCheckpoint(folder, {
      config: { num_local_experts: EXPERTS, intermediate_size: WIDTH },
      edit: (shapes) => {
        for (const name of [...shapes.keys()]) if (name.startsWith(prefix)) shapes.delete(name);
        for (const name of ['gate_proj', 'up_proj', 'down_proj']) {
          shapes.set(`${prefix}${name}.weight`, [EXPERTS, WIDTH, WIDTH]);
        }
      },
    });
    await expect(openCheckpoint(folder)).rejects.toMatchObject({ code: 'ambiguous-layout' });
  });
});
