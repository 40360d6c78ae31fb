import { ApiError, badRequest } from './api-error.js';
import type { ServerContext } from './context.js';
import type { EmbeddingsRequest } from './schemas.js';

/**
 * `POST /v1/embeddings`: for each text the mean of the last layer's output over its tokens, scaled to length 1.
 * Throws ApiError.
 */
export async function embeddings(
  body: EmbeddingsRequest,
  { model, slots, adapters, modelName, metrics }: ServerContext,
  signal: AbortSignal,
): Promise<object> {
  const { embeddingLength } = model.config;
  if (body.dimensions && body.dimensions !== embeddingLength) {
    throw badRequest('bad-dimensions', `expected ${embeddingLength}, the model's own`, 'dimensions');
  }
  const inputs = readInputs(body.input, model);
  const data: object[] = [];
  let tokens = 0;
  for (const [index, ids] of inputs.entries()) {
    const scales = adapters.scales(undefined);
    const slot = await slots.acquire(ids, signal, scales);
    let vector: Float32Array;
    try {
      await model.setAdapterScales(scales, slot.index);
      vector = unitLength(await model.embed(ids, slot.index, signal));
    } finally {
      slots.release(slot);
    }
    tokens += ids.length;
    metrics.promptTokens.inc(ids.length);
    const embedding =
      body.encoding_format === 'base64' ? Buffer.from(vector.buffer).toString('base64') : Array.from(vector);
    data.push({ object: 'embedding', index, embedding });
  }
  return { object: 'list', data, model: modelName, usage: { prompt_tokens: tokens, total_tokens: tokens } };
}

function readInputs(input: EmbeddingsRequest['input'], model: ServerContext['model']): number[][] {
  const several = Array.isArray(input) && (input.length === 0 || typeof input[0] !== 'number');
  const texts = (several ? input : [input]) as readonly (string | readonly number[])[];
  if (texts.length === 0) throw badRequest('empty-input', 'expected a text, found none', 'input');
  return texts.map((text) => {
    const ids =
      typeof text === 'string'
        ? model.tokenizer.encode(text, { addBos: true, parseSpecial: false })
        : Array.from(text);
    if (ids.length === 0) throw badRequest('empty-input', 'expected a text of at least one token', 'input');
    if (ids.length > model.contextSize) {
      const message = `expected at most ${model.contextSize} tokens, found ${ids.length}`;
      throw new ApiError(400, 'invalid_request_error', 'context_length_exceeded', message, {
        param: 'input',
      });
    }
    return ids;
  });
}

function unitLength(vector: Float32Array): Float32Array {
  const length = Math.sqrt(vector.reduce((sum, x) => sum + x * x, 0));
  return length > 0 ? vector.map((x) => x / length) : vector;
}
