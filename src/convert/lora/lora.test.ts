import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CriaError } from '../../base/errors.js';
import { openGguf, writeGguf } from '../../formats/gguf/index.js';
import { openSafetensors, writeSafetensors } from '../../formats/safetensors/index.js';
import { text } from '../metadata-values.js';
import type { LoraAdapter, LoraTensor } from './adapter.js';
import { convertAdapter } from './convert-adapter.js';
import { writeGgufAdapter } from './gguf-adapter.js';
import { openAdapter } from './open-adapter.js';
import { changeOf, memoryAdapter } from './testing/memory-adapter.js';
import { writePeftAdapter } from './write-peft.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cria-lora-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));
let count = 0;
const fresh = (ending = '') => join(folder, `${++count}${ending}`);

const linear = (name: string, rank: number, scale: number): LoraTensor => {
  return { name: `blk.0.${name}.weight`, columns: 8, rows: 12, rank, experts: 1, scale };
};
const experts = (part: string, columns: number, rows: number, rank: number, scale: number): LoraTensor => {
  return { name: `blk.1.ffn_${part}_exps.weight`, columns, rows, rank, experts: 3, scale };
};
const MIXED = [
  linear('attn_q', 2, 4),
  linear('attn_output', 3, 0.5),
  linear('ffn_gate_inp', 2, 1),
  { ...linear('x', 2, 4), name: 'output.weight' },
  experts('gate', 8, 6, 2, 2),
  experts('up', 8, 6, 3, 4),
  experts('down', 6, 8, 2, 1),
];

async function expectSame(found: LoraAdapter, expected: LoraAdapter): Promise<void> {
  expect([...found.tensors.keys()].sort()).toEqual([...expected.tensors.keys()].sort());
  for (const name of expected.tensors.keys()) {
    const [a, b] = [await changeOf(found, name), await changeOf(expected, name)];
    expect(a.length).toBe(b.length);
    expect(Math.max(...a.map((value, i) => Math.abs(value - b[i]!)))).toBeLessThan(1e-6);
  }
}

/** A PEFT folder of these tensors, PyTorch shapes, all F32. */
async function peftFolder(
  tensors: Readonly<Record<string, readonly number[]>>,
  config: object = {},
  value: (name: string, i: number) => number = (_, i) => i,
): Promise<string> {
  const path = fresh();
  const infos = Object.entries(tensors).map(([key, shape]) => {
    const bytes = 4 * shape.reduce((product, n) => product * n, 1);
    return { name: `base_model.model.${key}`, dtype: 'F32' as const, shape, bytes };
  });
  await mkdir(path);
  await writeSafetensors(join(path, 'adapter_model.safetensors'), {
    tensors: infos,
    write: ({ name, bytes }) => {
      return new Uint8Array(Float32Array.from({ length: bytes / 4 }, (_, i) => value(name, i)).buffer);
    },
  });
  const json = JSON.stringify({ peft_type: 'LORA', r: 2, lora_alpha: 4, ...config });
  await writeFile(join(path, 'adapter_config.json'), json);
  return path;
}

const opening = async (path: string): Promise<LoraAdapter> => {
  const adapter = await openAdapter(path);
  await adapter.close();
  return adapter;
};

const Q = 'model.layers.0.self_attn.q_proj';
const pair = (module: string, rank = 2) => ({
  [`${module}.lora_A.weight`]: [rank, 8],
  [`${module}.lora_B.weight`]: [12, rank],
});

describe('adapters', () => {
  it('mean the same after a way through PEFT, GGUF and back', async () => {
    const original = memoryAdapter(MIXED, { name: 'nano', norms: 'abc' });
    const [peft, gguf, again] = [fresh(), fresh('.gguf'), fresh()];
    await writePeftAdapter(peft, original);
    await convertAdapter(peft, gguf);
    await convertAdapter(gguf, again);
    for (const path of [peft, gguf, again]) {
      const adapter = await openAdapter(path);
      expect(adapter.base).toEqual({ name: 'nano', norms: 'abc' });
      await expectSame(adapter, original);
      await adapter.close();
    }
  });

  it('keep the factors of fused experts in PEFT', async () => {
    const original = memoryAdapter([experts('gate', 8, 6, 2, 2), experts('up', 8, 6, 2, 2)]);
    const shared = {
      ...original,
      read: async (name: string) => {
        const { a } = await original.read('blk.1.ffn_gate_exps.weight');
        return { ...(await original.read(name)), a };
      },
    };
    const path = fresh();
    await writePeftAdapter(path, shared);
    const file = await openSafetensors(join(path, 'adapter_model.safetensors'));
    await file.close();
    expect([...file.tensors.values()].map(({ name, shape }) => [name, shape])).toEqual([
      ['base_model.model.language_model.model.layers.1.feed_forward.experts.lora_A.weight', [6, 12]],
      ['base_model.model.language_model.model.layers.1.feed_forward.experts.lora_B.weight', [8, 6]],
    ]);
    const adapter = await openAdapter(path);
    await expectSame(adapter, shared);
    await adapter.close();
  });

  it('have the metadata and shapes that llama.cpp reads', async () => {
    const path = fresh('.gguf');
    await writeGgufAdapter(path, memoryAdapter(MIXED));
    const file = await openGguf(path);
    await file.close();
    const metadata = Object.fromEntries([...file.metadata].map(([key, { value }]) => [key, value]));
    expect(metadata).toMatchObject({
      'general.architecture': 'llama4',
      'general.type': 'adapter',
      'adapter.type': 'lora',
      'adapter.lora.alpha': 8,
    });
    expect(file.tensors.get('blk.1.ffn_up_exps.weight.lora_a')?.shape).toEqual([8, 3, 3]);
    expect(file.tensors.get('blk.1.ffn_up_exps.weight.lora_b')?.shape).toEqual([3, 6, 3]);
    expect(file.tensors.get('blk.0.attn_q.weight.lora_a')?.shape).toEqual([8, 2]);
  });
});

describe('PEFT folders', () => {
  it('scale by alpha over rank, its root for rsLoRA, and by patterns', async () => {
    const tensors = { ...pair(Q), ...pair('model.layers.1.self_attn.q_proj', 4) };
    const patterns = { rank_pattern: { 'layers\\.1\\.self_attn.q_proj': 4 }, alpha_pattern: { q_proj: 6 } };
    const scales = async (config: object) =>
      [...(await opening(await peftFolder(tensors, config))).tensors.values()].map(({ scale }) => scale);
    expect(await scales(patterns)).toEqual([3, 1.5]);
    expect(await scales({ ...patterns, alpha_pattern: {}, use_rslora: true })).toEqual([4 / Math.sqrt(2), 2]);
  });

  it('hold fused experts as PEFT nests them', async () => {
    // PEFT: delta[e][o][i] = Σ_k B.reshape(o, r, E)[o][k][e] · A.reshape(E, r, i)[e][k][i], parameters [E][o][i].
    const [E, r, D, F] = [3, 2, 8, 6];
    const experts = 'language_model.model.layers.1.feed_forward.experts';
    const value = (name: string, i: number) => Math.sin(i + name.length);
    const path = await peftFolder(
      {
        [`${experts}.base_layer.lora_A.weight`]: [r * E, 2 * F],
        [`${experts}.base_layer.lora_B.weight`]: [D, r * E],
        [`${experts}.lora_A.weight`]: [r * E, D],
        [`${experts}.lora_B.weight`]: [F, r * E],
      },
      {},
      value,
    );
    const adapter = await openAdapter(path);
    const check = async (
      gguf: string,
      key: string,
      inputs: number,
      outputs: number,
      first: number,
      rows: number,
    ) => {
      const change = await changeOf(adapter, gguf);
      const name = `base_model.model.${experts}${key}`;
      for (let e = 0; e < E; e++) {
        for (let row = 0; row < rows; row++) {
          for (let column = 0; column < inputs; column++) {
            let sum = 0;
            for (let k = 0; k < r; k++) {
              const b = value(`${name}.lora_B.weight`, column * r * E + k * E + e);
              sum += b * value(`${name}.lora_A.weight`, (e * r + k) * outputs + first + row);
            }
            expect(change[(e * rows + row) * inputs + column]).toBeCloseTo(2 * sum, 4);
          }
        }
      }
    };
    await check('blk.1.ffn_gate_exps.weight', '.base_layer', D, 2 * F, 0, F);
    await check('blk.1.ffn_up_exps.weight', '.base_layer', D, 2 * F, F, F);
    await check('blk.1.ffn_down_exps.weight', '', F, D, 0, D);
    await adapter.close();
  });

  it('hold experts as linear layers of their own', async () => {
    const at = 'model.layers.1.feed_forward.experts';
    const path = await peftFolder({ ...pair(`${at}.0.gate_proj`), ...pair(`${at}.2.gate_proj`) });
    const adapter = await openAdapter(path);
    expect([...adapter.tensors.values()]).toEqual([
      { name: 'blk.1.ffn_gate_exps.weight', columns: 8, rows: 12, rank: 2, experts: 3, scale: 2 },
    ]);
    const change = await changeOf(adapter, 'blk.1.ffn_gate_exps.weight');
    await adapter.close();
    const sums = [0, 1, 2].map((e) => change.subarray(e * 96, (e + 1) * 96).reduce((sum, x) => sum + x, 0));
    expect(sums[0]).toBeGreaterThan(0);
    expect(sums).toEqual([sums[0], 0, sums[0]]);
  });

  it.each([
    ['DoRA', pair(Q), { use_dora: true }, 'unsupported-adapter', /DoRA/],
    ['magnitudes', { ...pair(Q), [`${Q}.lora_magnitude_vector`]: [12] }, {}, 'unsupported-adapter', /DoRA/],
    ['saved modules', { ...pair(Q), 'lm_head.weight': [4, 8] }, {}, 'unsupported-adapter', /lm_head/],
    [
      'embeddings',
      { 'model.embed_tokens.lora_embedding_A': [2, 9] },
      {},
      'unsupported-adapter',
      /embeddings/,
    ],
    ['pictures', pair('vision_model.model.layers.0.self_attn.q_proj'), {}, 'unsupported-adapter', /vision/],
    ['other models', pair('model.layers.0.mlp.gate_proj'), {}, 'unsupported-adapter', /mlp/],
    ['another kind', pair(Q), { peft_type: 'IA3' }, 'unsupported-adapter', /IA3/],
    ['another rank', pair(Q, 3), {}, 'bad-adapter', /rank 2/],
    ['half a pair', { [`${Q}.lora_A.weight`]: [2, 8] }, {}, 'bad-adapter', /lora_A without lora_B/],
    ['hard patterns', pair(Q), { rank_pattern: { '(a+)+b': 2 } }, 'bad-config', /rank_pattern/],
    [
      'a doubtful parameter',
      pair('model.layers.0.feed_forward.experts'),
      {},
      'bad-adapter',
      /target_parameters/,
    ],
  ])('are refused for %s', async (_, tensors, config, code, message) => {
    const path = await peftFolder(tensors as Record<string, number[]>, config);
    await expect(openAdapter(path)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  it('are read or refused in one line, whatever their configuration holds', async () => {
    const path = await peftFolder(pair(Q));
    const key = fc.constantFrom(
      'r',
      'lora_alpha',
      'rank_pattern',
      'alpha_pattern',
      'target_parameters',
      'use_rslora',
    );
    await fc.assert(
      fc.asyncProperty(fc.dictionary(key, fc.jsonValue()), async (fields) => {
        await writeFile(join(path, 'adapter_config.json'), JSON.stringify({ peft_type: 'LORA', ...fields }));
        const error = await opening(path).then(
          () => undefined,
          (thrown: unknown) => thrown,
        );
        if (error === undefined) return;
        expect(error).toBeInstanceOf(CriaError);
        expect(['bad-config', 'bad-adapter']).toContain((error as CriaError).code);
        expect((error as CriaError).message).not.toContain('\n');
      }),
      { numRuns: 60 },
    );
  });

  it('that are not there are said to be missing', async () => {
    await expect(openAdapter(fresh())).rejects.toMatchObject({ code: 'no-adapter', kind: 'not-found' });
  });

  it('are written as a whole or not at all', async () => {
    const path = fresh();
    const broken = { ...memoryAdapter(MIXED), read: () => Promise.reject(new Error('gone')) };
    await expect(writePeftAdapter(path, broken)).rejects.toThrow('gone');
    await expect(readFile(join(path, 'adapter_config.json'))).rejects.toThrow('ENOENT');
  });
});

describe('GGUF adapters', () => {
  const write = (
    names: Readonly<Record<string, readonly number[]>>,
    metadata: Readonly<Record<string, string>> = {},
  ) => {
    const path = fresh('.gguf');
    const entries = {
      'general.architecture': 'llama4',
      'general.type': 'adapter',
      'adapter.type': 'lora',
      ...metadata,
    };
    return writeGguf(path, {
      metadata: new Map(Object.entries(entries).map(([key, value]) => [key, text(value)])),
      tensors: Object.entries(names).map(([name, shape]) => {
        return { name, type: 'F32', shape, bytes: 4 * shape.reduce((product, n) => product * n, 1) };
      }),
      write: ({ bytes }) => new Uint8Array(bytes),
    }).then(() => path);
  };
  const Q_PAIR = { 'blk.0.attn_q.weight.lora_a': [8, 2], 'blk.0.attn_q.weight.lora_b': [2, 12] };

  it('without alpha are added as they are', async () => {
    const adapter = await opening(await write({ ...Q_PAIR, 'blk.0.attn_norm.weight': [8] }));
    expect([...adapter.tensors.values()]).toMatchObject([{ rank: 2, scale: 1 }]);
  });

  it.each([
    ['models', Q_PAIR, { 'general.type': 'model' }, 'bad-adapter', /adapter/],
    ['other architectures', Q_PAIR, { 'general.architecture': 'llama' }, 'unsupported-adapter', /llama4/],
    ['control vectors', Q_PAIR, { 'adapter.type': 'control' }, 'unsupported-adapter', /control/],
    [
      'factors that do not fit',
      { ...Q_PAIR, 'blk.0.attn_q.weight.lora_b': [3, 12] },
      {},
      'bad-adapter',
      /attn_q/,
    ],
    ['half a pair', { 'blk.0.attn_q.weight.lora_b': [2, 12] }, {}, 'bad-adapter', /without its .lora_a/],
    ['other tensors', { ...Q_PAIR, 'blk.0.attn_q.bias': [8] }, {}, 'unsupported-adapter', /bias/],
  ])('are refused for %s', async (_, tensors, metadata, code, message) => {
    const path = await write(
      tensors as unknown as Record<string, number[]>,
      metadata as Record<string, string>,
    );
    await expect(openAdapter(path)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });
});
