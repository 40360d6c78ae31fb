// What the training benchmarks train, and one step of it.
import { loraParameters } from '../dist/train/target-modules.js';

/** Attention and shared experts: what train.py adapts too. */
const ADAPTED = '.*\\.(q_proj|k_proj|v_proj|o_proj|shared_expert\\.(gate|up|down)_proj)';
const ADAMW = { learningRate: 1e-4, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01, maxNorm: 1 };

export function trainable(tensors, { tuning, rank = 16, alpha = 32 }) {
  if (tuning === 'full') return { kind: 'full' };
  const options = { modules: [ADAPTED], parameters: [], router: false, rank, alpha, rsLora: false };
  return { kind: 'lora', parameters: loraParameters(tensors, options), dropout: 0 };
}

export function trainingOptions(source, setup) {
  const { batch, length, threads = 2, optimizer = 'adamw', checkpointing = false } = setup;
  return {
    trainable: trainable(source.tensors.values(), setup),
    threads,
    maxTokens: batch * length,
    checkpointing,
    optimizer,
    seed: 1,
  };
}

/** Each row predicts its next tokens, as transformers' loss does; returns the mean. */
export async function step(model, tokens, { batch, length }, index) {
  const size = batch * length;
  const within = Int32Array.from({ length: size }, (_, i) => i % length);
  const targets = Int32Array.from({ length: size }, (_, i) =>
    within[i] === length - 1 ? -1 : tokens[i + 1],
  );
  const count = batch * (length - 1);
  const loss = await model.accumulate(
    {
      ids: Int32Array.from(tokens),
      sequences: Int32Array.from({ length: size }, (_, i) => Math.floor(i / length)),
      positions: within,
      targets,
    },
    1 / count,
    index,
  );
  await model.update(ADAMW);
  return loss.sum / count;
}
