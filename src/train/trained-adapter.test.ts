import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openAdapter } from '../convert/lora/open-adapter.js';
import { openModel } from '../convert/open-model.js';
import type { TensorSource } from '../formats/tensor-source.js';
import { Llama4Runtime } from '../model/llama4-runtime.js';
import { randomSource } from './random-source.js';
import { ALL_LINEAR, EXPERT_PARAMETERS, loraParameters } from './target-modules.js';
import { trainedAdapter } from './trained-adapter.js';
import { TrainingModel } from './training-model.js';
import { writeAdapterResults } from './write-results.js';

const NANO_SCOUT = fileURLToPath(new URL('../../models/nano-scout', import.meta.url));

let source: TensorSource;
beforeAll(async () => {
  source = await openModel(NANO_SCOUT);
});
afterAll(() => source.close());

describe('trainedAdapter', () => {
  it('gives, as files, the model that was trained', async () => {
    const parameters = loraParameters(source.tensors.values(), {
      modules: [ALL_LINEAR],
      parameters: EXPERT_PARAMETERS,
      router: true,
      rank: 3,
      alpha: 6,
      rsLora: true,
    });
    const model = await TrainingModel.open(source, {
      trainable: { kind: 'lora', parameters, dropout: 0 },
      threads: 2,
      maxTokens: 32,
      seed: 1,
    });
    const folder = await mkdtemp(join(tmpdir(), 'cria-trained-'));
    try {
      // As if B had learnt something.
      for (const { name } of model.parameters.filter(({ name }) => name.endsWith('.lora_b'))) {
        const values = await model.read(name, 'value');
        await model.write(
          name,
          values.map((_, i) => Math.sin(i + name.length) / 40),
        );
      }
      const ids = Int32Array.from({ length: 32 }, (_, i) => (i * 97) % 4000);
      const targets = Int32Array.from(ids, (_, i) => ids[i + 1] ?? -1);
      const batch = { ids, targets, sequences: new Int32Array(32), positions: ids.map((_, i) => i) };
      const trained = await model.likelihoods(batch, { adapters: true });
      const base = await model.likelihoods(batch, { adapters: false });
      expect(largest(trained, base)).toBeGreaterThan(0.5);

      const written = trainedAdapter(folder, { name: 'nano' }, source, parameters, model);
      await writeAdapterResults(folder, written);
      for (const path of [folder, join(folder, 'adapter.gguf')]) {
        const adapter = await openAdapter(path);
        const runtime = await Llama4Runtime.load(source, {
          threads: 2,
          contextSize: 64,
          cacheType: 'f32',
          adapters: [{ adapter, scale: 1 }],
        });
        const logits = await runtime.evaluate(ids, 0, 'all');
        expect(largest(likelihoods(logits, targets), trained)).toBeLessThan(2e-3);
        await runtime.close();
        await adapter.close();
      }
    } finally {
      await model.close();
      await rm(folder, { recursive: true, force: true });
    }
  });
});

function largest(a: Float32Array, b: Float32Array): number {
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
}

/** −log p of targets, from logits [tokens][vocabulary]. */
function likelihoods(logits: Float32Array, targets: Int32Array): Float32Array {
  const vocabulary = logits.length / targets.length;
  return Float32Array.from(targets, (target, t) => {
    if (target < 0) return 0;
    const row = logits.subarray(t * vocabulary, (t + 1) * vocabulary);
    const most = row.reduce((a, b) => Math.max(a, b));
    return most + Math.log(row.reduce((sum, logit) => sum + Math.exp(logit - most), 0)) - row[target]!;
  });
}

describe('randomSource', () => {
  const read = async (seed: number, name: string, start: number, count: number) => {
    const random = randomSource(source, seed);
    const { bytes, shape } = random.tensors.get(name)!;
    const rows = shape.slice(1).reduce((product, n) => product * n, 1);
    const target = new Uint8Array((bytes / rows) * count);
    await random.readRows(name, start, count, target);
    return new Uint16Array(target.buffer);
  };
  const float = (bits: number) => new Float32Array(Uint32Array.of(bits << 16).buffer)[0]!;

  it('is the same in any pieces, and another for another seed', async () => {
    const whole = await read(7, 'blk.1.ffn_gate_exps.weight', 0, 600);
    expect(await read(7, 'blk.1.ffn_gate_exps.weight', 250, 100)).toEqual(whole.slice(250 * 256, 350 * 256));
    expect(await read(8, 'blk.1.ffn_gate_exps.weight', 0, 600)).not.toEqual(whole);
  });

  it('is normal, as transformers begins', async () => {
    const values = Float32Array.from(await read(7, 'token_embd.weight', 0, 1000), float);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const moment = (power: number) =>
      values.reduce((sum, value) => sum + (value - mean) ** power, 0) / values.length;
    expect(Math.abs(mean)).toBeLessThan(2e-4);
    expect(Math.sqrt(moment(2))).toBeCloseTo(0.02, 3);
    expect(moment(4) / moment(2) ** 2).toBeCloseTo(3, 1);
    // Neighbours have nothing to do with each other.
    const product = values.reduce((sum, value, i) => sum + value * (values[i + 1] ?? 0), 0) / values.length;
    expect(Math.abs(product) / moment(2)).toBeLessThan(0.01);
  });
});
