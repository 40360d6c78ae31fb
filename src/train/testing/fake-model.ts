import type { OpenTrainable, TrainableModel } from '../trainable-model.js';
import type { ParameterInfo, TrainingBatch } from '../types.js';

export interface FakeOptions {
  /** Called before each step's update, with the number of the step (from 1). */
  readonly beforeUpdate?: (step: number) => void;
  /** Losses and gradients of this step are no numbers. */
  readonly divergesAt?: number;
  /** Called when values are read, as they are to be saved. */
  readonly onRead?: () => void;
}

/**
 * Opens a model of one number per parameter, θ, whose −log p of a target is (θ − target / vocabulary)² over all
 * parameters: it learns the mean of the targets by gradient descent with momentum, exactly reproducibly.
 */
export function fakeOpen({ beforeUpdate, divergesAt, onRead }: FakeOptions = {}): OpenTrainable {
  return async (source, { trainable, seed }) => {
    const parameters = (
      trainable.kind === 'full'
        ? [...source.tensors.values()].filter(({ shape }) => shape.length === 1)
        : trainable.parameters.flatMap(({ tensors, rank }) => {
            const shapes = tensors.map((name) => source.tensors.get(name)!.shape);
            const rows = shapes.reduce((sum, shape) => sum + shape[1]!, 0);
            const experts = shapes[0]!.slice(2);
            return [
              { name: `${tensors[0]}.lora_a`, shape: [shapes[0]![0]!, rank, ...experts] },
              { name: `${tensors[0]}.lora_b`, shape: [rank, rows, ...experts] },
            ];
          })
    ).map(({ name, shape }): ParameterInfo => ({ name, shape, decays: shape.length > 1 }));
    const values = new Map(
      parameters.map(({ name, shape }, i) => {
        const length = shape.reduce((product, n) => product * n, 1);
        return [name, new Float32Array(length).fill(seed / 1000 + i / 100)];
      }),
    );
    const vocabulary = source.tensors.get('token_embd.weight')!.shape[1]!;
    let gradient = 0;
    let momentum = 0;
    let steps = 0;
    const theta = () => values.get(parameters[0]!.name)![0]!;
    const errors = ({ targets }: TrainingBatch, at: number) =>
      Array.from(targets, (target) => (target < 0 ? 0 : at - target / vocabulary));

    const model: TrainableModel & { close(): Promise<void> } = {
      parameters,
      memory: { weights: 1, parameters: 1, gradients: 1, optimizer: 1, activations: 1 },
      async accumulate(batch, scale) {
        let sum = 0;
        for (const [token, error] of errors(batch, theta()).entries()) {
          const weight = batch.weights?.[token] ?? 1;
          sum += weight * error ** 2;
          gradient += scale * weight * 2 * error;
        }
        if (steps + 1 === divergesAt) sum = Number.NaN;
        return { sum, tokens: batch.targets.filter((target) => target >= 0).length, auxiliary: 0 };
      },
      async likelihoods(batch, { adapters }) {
        const base = seed / 1000;
        return Float32Array.from(errors(batch, adapters ? theta() : base), (error) => error ** 2);
      },
      async update({ learningRate }) {
        beforeUpdate?.(steps + 1);
        steps++;
        momentum = Math.fround(0.9 * momentum + gradient);
        for (const floats of values.values())
          for (const i of floats.keys()) floats[i]! -= learningRate * momentum;
        const norm = Math.abs(gradient);
        gradient = 0;
        return { norm, applied: Number.isFinite(norm) };
      },
      async read(name) {
        onRead?.();
        return values.get(name)!.slice();
      },
      async write(name, floats) {
        values.get(name)!.set(floats);
      },
      async optimizerState() {
        const floats = Float32Array.of(momentum, steps);
        return [{ name: 'all', dtype: 'F32', shape: [2], bytes: new Uint8Array(floats.buffer) }];
      },
      async restoreOptimizer([state]) {
        [momentum, steps] = new Float32Array(state!.bytes.slice().buffer) as unknown as [number, number];
      },
      close: async () => {},
    };
    return model;
  };
}
