import { configFromMetadata } from '../../convert/llama4-config.js';
import { openModel } from '../../convert/open-model.js';
import { type LoadOptions, loadFromSource, type Model } from '../load-model.js';
import { checkSameVocabulary } from './same-vocabulary.js';

/**
 * Loads a model that is to draft for `target`, with as much context as both have. Throws as `loadModel` does, and
 * `draft-vocabulary-differs` (kind `usage`).
 */
export async function loadDraftModel(
  path: string,
  target: Model,
  options: Omit<LoadOptions, 'contextSize'> = {},
): Promise<Model> {
  const source = await openModel(path);
  try {
    const { contextLength } = configFromMetadata(source.metadata, source.tensors);
    const contextSize = Math.min(contextLength, target.contextSize);
    const model = await loadFromSource(source, { ...options, contextSize });
    try {
      checkSameVocabulary(target.tokenizer.vocabulary, model.tokenizer.vocabulary);
      return model;
    } catch (error) {
      await model.close();
      throw error;
    }
  } finally {
    await source.close();
  }
}
