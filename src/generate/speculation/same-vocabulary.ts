import { CriaError } from '../../base/errors.js';
import type { Vocabulary } from '../../model/tokenizer/index.js';

/**
 * Refuses a draft model whose token ids mean something else: throws `draft-vocabulary-differs` (kind `usage`), naming
 * the first difference.
 */
export function checkSameVocabulary(target: Vocabulary, draft: Vocabulary): void {
  const refuse = (found: string) =>
    new CriaError(
      'usage',
      'draft-vocabulary-differs',
      `expected a draft model with the vocabulary of the model it drafts for, found ${found}`,
    );
  const size = target.texts.length;
  if (draft.texts.length !== size) throw refuse(`${draft.texts.length} tokens in place of ${size}`);
  for (let id = 0; id < size; id++) {
    if (draft.texts[id] !== target.texts[id] || draft.kinds[id] !== target.kinds[id]) {
      const [shown, expected] = [draft, target].map(({ texts }) => JSON.stringify(texts[id]!.slice(0, 60)));
      throw refuse(`token ${id} to be ${shown} in place of ${expected}`);
    }
  }
}
