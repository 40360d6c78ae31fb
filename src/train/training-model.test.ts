import { describe, expect, it } from 'vitest';
import { configFromMetadata } from '../convert/llama4-config.js';
import type { TensorSource } from '../formats/tensor-source.js';
import { tinyBatch, tinyModel } from './testing/tiny-model.js';
import { planTraining } from './training-layout.js';
import { TrainingModel, type TrainingOptions } from './training-model.js';
import type { LoraParameter, OptimizerStep, Trainable, TrainingBatch } from './types.js';

const FULL: Trainable = { kind: 'full' };
const COEFFICIENT = 0.3;
const SCALE = 0.5;
const ADAMW: OptimizerStep = {
  learningRate: 1e-2,
  beta1: 0.9,
  beta2: 0.99,
  epsilon: 1e-8,
  weightDecay: 0.01,
  maxNorm: 1,
};

/** Everything that can be adapted, gate and up experts as one. */
function everyAdapter(source: TensorSource, dropout = 0): Trainable {
  const names = [...source.tensors.keys()].filter(
    (name) => source.tensors.get(name)!.shape.length > 1 && !/token_embd|up_exps/.test(name),
  );
  const parameters = names.map((name, i): LoraParameter => {
    const rank = 2 + (i % 3);
    const tensors = name.includes('gate_exps') ? [name, name.replace('gate', 'up')] : [name];
    return { tensors, rank, alpha: 6, scale: 6 / rank };
  });
  return { kind: 'lora', parameters, dropout };
}

/** Opens, with adapters that change something, runs and closes. */
async function withModel<T>(
  source: TensorSource,
  options: Partial<TrainingOptions>,
  use: (model: TrainingModel) => Promise<T>,
): Promise<T> {
  const defaults = { trainable: FULL, threads: 2, maxTokens: 40, auxiliaryCoefficient: COEFFICIENT, seed: 3 };
  const model = await TrainingModel.open(source, { ...defaults, ...options });
  try {
    for (const { name, shape } of model.parameters.filter(({ name }) => name.endsWith('lora_b'))) {
      const length = shape.reduce((product, n) => product * n);
      await model.write(
        name,
        Float32Array.from({ length }, (_, i) => Math.sin(i) / 4),
      );
    }
    return await use(model);
  } finally {
    await model.close();
  }
}

async function gradientsOf(model: TrainingModel): Promise<Map<string, Float32Array>> {
  const gradients = new Map<string, Float32Array>();
  for (const { name } of model.parameters) gradients.set(name, await model.read(name, 'gradient'));
  return gradients;
}

function gradients(source: TensorSource, options: Partial<TrainingOptions>, ...batches: TrainingBatch[]) {
  return withModel(source, options, async (model) => {
    const losses = [];
    for (const batch of batches) losses.push(await model.accumulate(batch, SCALE, 1));
    return { losses, gradients: await gradientsOf(model) };
  });
}

/** What `accumulate` minimizes. */
async function objective(model: TrainingModel, batch: TrainingBatch): Promise<number> {
  const { sum, tokens, auxiliary } = await model.accumulate(batch, SCALE, 1);
  return SCALE * (sum + COEFFICIENT * tokens * auxiliary);
}

const norm = (values: Float32Array) => Math.hypot(...values);

describe('gradients of the whole network', () => {
  const cases: [string, TensorSource, (source: TensorSource) => Trainable][] = [
    ['every weight', tinyModel(), () => FULL],
    [
      'every weight, tied, one expert, no norm of heads',
      tinyModel({ useQkNorm: false, expertUsedCount: 1, tied: true }),
      () => FULL,
    ],
    ['adapters', tinyModel(), (source) => everyAdapter(source)],
    ['adapters with dropout', tinyModel({ useQkNorm: false }), (source) => everyAdapter(source, 0.3)],
  ];
  it.each(cases)('are differences of the loss: %s', async (_, source, trainable) => {
    const batch = tinyBatch([13, 2, 9]);
    await withModel(source, { trainable: trainable(source) }, async (model) => {
      await model.accumulate(batch, SCALE, 1);
      const all = await gradientsOf(model);
      for (const [name, gradient] of all) {
        const length = norm(gradient);
        expect(length, name).toBeGreaterThan(1e-3);
        const value = await model.read(name, 'value');
        const step = 4e-3;
        const along = async (distance: number) => {
          await model.write(
            name,
            value.map((x, i) => x + (distance * gradient[i]!) / length),
          );
          return objective(model, batch);
        };
        const slope = ((await along(step)) - (await along(-step))) / (2 * step);
        await model.write(name, value);
        expect(Math.abs(slope - length), name).toBeLessThan(0.01 * length + 2e-3);
      }
    });
  });
});

describe('what gradients do not depend on', () => {
  const source = tinyModel();
  const batch = tinyBatch([13, 2, 9]);
  const lora = everyAdapter(source, 0.2);

  it.each([1, 3])('%i threads', async (threads) => {
    for (const trainable of [FULL, lora]) {
      const expected = await gradients(source, { trainable }, batch);
      expect(await gradients(source, { trainable, threads }, batch)).toEqual(expected);
    }
  });

  it('checkpointing', async () => {
    for (const trainable of [FULL, lora]) {
      const expected = await gradients(source, { trainable }, batch);
      expect(await gradients(source, { trainable, checkpointing: true }, batch)).toEqual(expected);
    }
  });

  it('how many memories there are', async () => {
    const quantized = tinyModel({ width: 64, type: 'Q8_0' });
    for (const [model, trainable, arenaLimit] of [
      [source, FULL, 1_000_000],
      [quantized, everyAdapter(quantized), 1_230_000],
    ] as const) {
      const config = configFromMetadata(model.metadata, model.tensors);
      const plan = { trainable, threads: 1, maxTokens: 24, arenaLimit };
      expect(planTraining(config, model.tensors, plan).arenas.arenaBytes.length).toBeGreaterThan(1);
      const learn = (options: Partial<TrainingOptions>) =>
        withModel(model, { trainable, threads: 1, maxTokens: 24, ...options }, async (opened) => {
          await opened.accumulate(batch, SCALE, 1);
          const { norm: length } = await opened.update(ADAMW);
          return { length, after: await opened.accumulate(batch, SCALE, 2), all: await gradientsOf(opened) };
        });
      expect(await learn({ arenaLimit })).toEqual(await learn({}));
    }
  });

  it.each([1, 13])('what else is in the batch, within rounding: %i tokens', async (length) => {
    const ended = ({ targets, ...rest }: ReturnType<typeof tinyBatch>) => ({
      ...rest,
      targets: targets.map((target) => Math.max(0, target)),
    });
    const [first, second] = [ended(tinyBatch([length], 1)), ended(tinyBatch([9, 4], 2, 1))];
    const join = (a: Int32Array, b: Int32Array) => Int32Array.of(...a, ...b);
    const both = {
      ids: join(first.ids, second.ids),
      sequences: join(first.sequences, second.sequences),
      positions: join(first.positions, second.positions),
      targets: join(first.targets, second.targets),
      weights: Float32Array.of(...first.weights, ...second.weights),
    };
    // The routers' loss is of a batch.
    const options = { auxiliaryCoefficient: 0 };
    for (const model of [source, tinyModel({ expertUsedCount: 1 })]) {
      const apart = await gradients(model, options, first, second);
      const together = await gradients(model, options, both);
      expect(together.losses[0]!.sum).toBeCloseTo(apart.losses[0]!.sum + apart.losses[1]!.sum, 3);
      for (const [name, gradient] of apart.gradients) {
        const difference = norm(gradient.map((value, i) => value - together.gradients.get(name)![i]!));
        expect(difference / norm(gradient), name).toBeLessThan(1e-5);
      }
    }
  });

  it('whether the base is unpacked beforehand', async () => {
    const options = { width: 32, type: 'Q8_0' } as const;
    const quantized = tinyModel(options);
    const floats = tinyModel({ ...options, rounded: true });
    const trainable = everyAdapter(quantized);
    expect(await gradients(quantized, { trainable }, batch)).toEqual(
      await gradients(floats, { trainable }, batch),
    );
  });
});

describe('a training model', () => {
  it.each(['adamw', 'adamw_8bit'] as const)(
    'learns a batch, and goes on from its state: %s',
    async (optimizer) => {
      const source = tinyModel();
      const batch = { ...tinyBatch([13, 9]), weights: undefined };
      const options = { optimizer, auxiliaryCoefficient: 0.01 };
      const step = async (model: TrainingModel) => {
        const { sum, tokens } = await model.accumulate(batch, 1 / 20, 1);
        expect((await model.update(ADAMW)).applied).toBe(true);
        return sum / tokens;
      };
      await withModel(source, options, async (model) => {
        const losses = [];
        for (let i = 0; i < 30; i++) losses.push(await step(model));
        expect(losses.at(-1)).toBeLessThan(losses[0]! / 4);
        const state = await model.optimizerState();
        await withModel(source, options, async (other) => {
          for (const { name } of model.parameters) await other.write(name, await model.read(name, 'value'));
          await other.restoreOptimizer(state);
          expect([await step(other), await step(other)]).toEqual([await step(model), await step(model)]);
        });
        await expect(model.restoreOptimizer(state.slice(1))).rejects.toMatchObject({
          code: 'bad-optimizer-state',
        });
      });
    },
  );

  it('is the base without adapters, and takes no step that is no number', async () => {
    const source = tinyModel();
    const batch = tinyBatch([13, 9]);
    const base = await withModel(source, {}, (model) => model.likelihoods(batch, { adapters: true }));
    await withModel(source, { trainable: everyAdapter(source) }, async (model) => {
      expect(await model.likelihoods(batch, { adapters: false })).toEqual(base);
      expect(await model.likelihoods(batch, { adapters: true })).not.toEqual(base);
      const { name } = model.parameters[0]!;
      const value = await model.read(name, 'value');
      await model.accumulate({ ...batch, weights: batch.weights.map(() => Number.NaN) }, 1, 1);
      expect(await model.update(ADAMW)).toEqual({ norm: Number.NaN, applied: false });
      expect(await model.read(name, 'value')).toEqual(value);
    });
  });

  it('takes rows of pictures for embeddings, and leaves them as they are', async () => {
    const batch = tinyBatch([13, 9]);
    const shown = [3, 4, 5];
    await withModel(tinyModel(), {}, async (model) => {
      const embeddings = await model.read('token_embd.weight', 'value');
      const pictures = new Float32Array(shown.length * 16);
      // Tokens from 20 on come nowhere else.
      const tokens = batch.ids.map((id) => id % 20);
      const ids = tokens.slice();
      for (const [i, t] of shown.entries()) {
        tokens[t] = 20 + i;
        ids[t] = -1 - i;
        pictures.set(embeddings.subarray((20 + i) * 16, (21 + i) * 16), i * 16);
      }
      const likelihoods = await model.likelihoods({ ...batch, ids: tokens }, { adapters: true });
      expect(await model.likelihoods({ ...batch, ids, pictures }, { adapters: true })).toEqual(likelihoods);
      await model.accumulate({ ...batch, ids, pictures }, 1, 1);
      const gradient = await model.read('token_embd.weight', 'gradient');
      expect(norm(gradient.subarray(20 * 16))).toBe(0);
      expect(norm(gradient)).toBeGreaterThan(0);
    });
  });

  it('refuses batches that make no sense', async () => {
    const batch = tinyBatch([5]);
    await withModel(tinyModel(), {}, async (model) => {
      for (const wrong of [
        { ids: batch.ids.map(() => 24) },
        { ids: batch.ids.map(() => -1) },
        { targets: batch.targets.map(() => 99) },
        { positions: batch.positions.map(() => 0) },
        { targets: batch.targets.slice(1) },
      ]) {
        await expect(model.accumulate({ ...batch, ...wrong }, 1, 1)).rejects.toMatchObject({
          code: 'bad-batch',
        });
      }
      await expect(model.accumulate(tinyBatch([41]), 1, 1)).rejects.toMatchObject({ code: 'bad-batch' });
    });
  });
});
