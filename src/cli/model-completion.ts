import { CriaError } from '../base/errors.js';
import { chatFormat } from '../chat/index.js';
import type { Complete } from '../evaluate/tasks/index.js';
import type { SamplingOptions } from '../generate/index.js';
import type { Model } from '../generate/load-model.js';
import { reusablePrefix } from '../model/sequence-model.js';

/** Chats answered by a loaded model, in its own format. Throws `prompt-too-long`, kind `cancelled`. */
export function modelCompletion(
  model: Model,
  sampling: SamplingOptions & { readonly maxTokens?: number },
): Complete {
  const format = chatFormat(model);
  return async ({ messages, seed, signal }) => {
    const prompt = format.encode({ messages });
    const cachedTokens = reusablePrefix(model.cachedTokens(0), prompt);
    const tokens = model.generate(prompt, { ...sampling, seed, cachedTokens, signal });
    let text = '';
    let step = await tokens.next();
    for (; !step.done; step = await tokens.next()) text += step.value.text;
    if (step.value.reason === 'cancelled') throw new CriaError('cancelled', 'cancelled', 'stopped');
    return text;
  };
}
