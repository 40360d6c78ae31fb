import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openPeftAdapter } from '../src/convert/lora/open-peft.js';
import { parsePeftKey } from '../src/convert/lora/peft-keys.js';
import { openModel } from '../src/convert/open-model.js';
import { openSafetensors } from '../src/formats/safetensors/index.js';
import { TrainingModel } from '../src/train/training-model.js';
import type { TrainingBatch } from '../src/train/types.js';
import { goldenJson, goldenPath, NANO_SCOUT } from './golden.js';

/** Sequences of which every token but the first is a target. */
function batchOf(sequences: readonly (readonly number[])[]): TrainingBatch {
  const flat = (value: (ids: readonly number[], i: number, sequence: number) => number) =>
    Int32Array.from(sequences.flatMap((ids, sequence) => ids.map((_, i) => value(ids, i, sequence))));
  return {
    ids: flat((ids, i) => ids[i]!),
    sequences: flat((_, __, sequence) => sequence),
    positions: flat((_, i) => i),
    targets: flat((ids, i) => ids[i + 1] ?? -1),
  };
}

/** PEFT's gradients by the names of parameters. */
async function referenceGradients(): Promise<Map<string, Float32Array>> {
  const file = await openSafetensors(goldenPath('lora/gradients.safetensors'));
  const gradients = new Map<string, Float32Array>();
  for (const [name, { bytes }] of file.tensors) {
    const key = parsePeftKey(`base_model.model.${name}`);
    if (typeof key === 'string' || key.kind !== 'linear') throw new Error(`${name}: ${key}`);
    const target = new Uint8Array(bytes);
    await file.read(name, 0, target);
    gradients.set(`${key.gguf}.lora_${key.factor.toLowerCase()}`, new Float32Array(target.buffer));
  }
  await file.close();
  return gradients;
}

/** ‖a − b‖ / ‖b‖ */
function relativeDistance(a: Float32Array, b: Float32Array): number {
  const norm = (values: Float32Array) => Math.hypot(...values);
  return norm(a.map((value, i) => value - b[i]!)) / norm(b);
}

describe('the golden adapter in training', () => {
  let model: TrainingModel;
  beforeAll(async () => {
    const adapter = await openPeftAdapter(goldenPath('lora'));
    const parameters = Array.from(adapter.tensors.values(), ({ name, rank, scale }) => ({
      tensors: [name],
      rank,
      alpha: scale * rank,
      scale,
    }));
    const source = await openModel(NANO_SCOUT);
    model = await TrainingModel.open(source, {
      trainable: { kind: 'lora', parameters, dropout: 0 },
      maxTokens: 128,
      seed: 1,
      threads: 2,
    });
    for (const name of adapter.tensors.keys()) {
      const { a, b } = await adapter.read(name);
      await model.write(`${name}.lora_a`, a);
      await model.write(`${name}.lora_b`, b);
    }
    await adapter.close();
    await source.close();
  });
  afterAll(() => model?.close());

  it("has PEFT's loss, and its gradients of every factor", async () => {
    const { batch, loss } = goldenJson('manifest.json').files.lora;
    const reference = await referenceGradients();
    const input = batchOf(batch);
    const targets = input.targets.filter((target) => target >= 0).length;
    const { sum, tokens } = await model.accumulate(input, 1 / targets, 0);
    expect(tokens).toBe(targets);
    expect(Math.abs(sum / tokens - loss)).toBeLessThan(1e-5);
    expect(model.parameters.map(({ name }) => name).sort()).toEqual([...reference.keys()].sort());
    for (const [name, expected] of reference) {
      const distance = relativeDistance(await model.read(name, 'gradient'), expected);
      expect(distance, name).toBeLessThan(1e-3);
    }
  });
});
