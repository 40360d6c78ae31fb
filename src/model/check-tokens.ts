import { CriaError } from '../base/errors.js';
import type { EmbeddingRows } from './embedding-rows.js';

/** What tokens of a run have to fit. */
export interface TokenLimits {
  readonly contextSize: number;
  readonly vocabSize: number;
  readonly embeddings: EmbeddingRows;
}

/** Throws `context-full`, `bad-token` (usage), and `unknown-picture` for ids of embeddings that are gone. */
export function checkTokens(tokens: ArrayLike<number>, position: number, limits: TokenLimits): void {
  const { contextSize, vocabSize, embeddings } = limits;
  if (position + tokens.length > contextSize) {
    throw new CriaError(
      'usage',
      'context-full',
      `${position + tokens.length} tokens do not fit the context of ${contextSize}`,
    );
  }
  for (let i = 0; i < tokens.length; i++) {
    const id = tokens[i]!;
    if (Number.isInteger(id) && id < 0) {
      embeddings.row(id);
      continue;
    }
    if (!Number.isInteger(id) || id >= vocabSize) {
      throw new CriaError('usage', 'bad-token', `token ${id} is not one of the model's ${vocabSize} ids`);
    }
  }
}
