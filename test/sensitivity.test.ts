import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openModel } from '../src/convert/open-model.js';
import { DivergenceProbe } from '../src/dynamic/divergence-probe.js';
import { entriesOfModel } from '../src/dynamic/imatrix-of-model.js';
import { perturbTensor, sensitivityOf } from '../src/dynamic/sensitivity.js';
import { inlineRecoder } from '../src/dynamic/tensor-errors.js';
import { readImatrix } from '../src/formats/imatrix/index.js';
import type { TensorSource } from '../src/formats/tensor-source.js';
import { Llama4Runtime } from '../src/model/llama4-runtime.js';
import { tokenizerFromGguf } from '../src/model/tokenizer/index.js';

const path = (relative: string) => new URL(`../${relative}`, import.meta.url).pathname;

describe('perturbing nano-scout', () => {
  let source: TensorSource;
  let runtime: Llama4Runtime;
  let probe: DivergenceProbe;

  beforeAll(async () => {
    source = await openModel(path('models/nano-scout'));
    runtime = await Llama4Runtime.load(source, { threads: 2, contextSize: 128 });
    const tokenizer = tokenizerFromGguf(source.metadata);
    const text = await readFile(path('models/nano-scout/calibration.txt'), 'utf8');
    const ids = tokenizer.encode(text.slice(0, 4000), { addBos: true, parseSpecial: false });
    probe = await DivergenceProbe.create(runtime, ids, { contextSize: 128, positions: 192 });
  });

  afterAll(async () => {
    await runtime.close();
    await source.close();
  });

  it('moves the predictions by an amount that falls with the error, and puts the tensor back', async () => {
    const name = 'blk.0.ffn_down_shexp.weight';
    const tensor = source.tensors.get(name)!;
    const imatrix = await readImatrix(path('test/golden/nano-scout/imatrix.gguf'));
    const options = {
      importance: entriesOfModel(imatrix, source.tensors.values()),
      recoder: inlineRecoder,
      types: ['Q2_K', 'Q3_K', 'Q6_K'] as const,
    };
    const [coarse, middle, fine] = await perturbTensor(runtime, source, probe, tensor, options);
    expect(coarse!.error).toBeGreaterThan(middle!.error);
    expect(middle!.error).toBeGreaterThan(fine!.error);
    expect(coarse!.kld).toBeGreaterThan(middle!.kld);
    expect(middle!.kld).toBeGreaterThan(fine!.kld);
    expect(fine!.kld).toBeGreaterThan(0);
    expect(sensitivityOf([coarse!, middle!])).toBeGreaterThan(0.1);
    expect(Math.abs(await probe.meanKld())).toBeLessThan(1e-6);
  });

  it('refuses rows that are none of the tensor’s', async () => {
    await expect(runtime.replaceRows('blk.0.attn_q.weight', 0, new Uint8Array(3))).rejects.toMatchObject({
      code: 'bad-rows',
    });
    await expect(runtime.replaceRows('blk.9.attn_q.weight', 0, new Uint8Array(0))).rejects.toMatchObject({
      code: 'no-such-matrix',
    });
  });
});
