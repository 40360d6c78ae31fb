import type { z } from 'zod';
import { badRequest } from './api-error.js';
import { readChat } from './chat-input.js';
import type { ServerContext } from './context.js';
import type { applyTemplateRequest, detokenizeRequest, tokenizeRequest } from './schemas.js';

// What llama-server offers beside OpenAI's endpoints.

/** `POST /tokenize` */
export function tokenize(body: z.infer<typeof tokenizeRequest>, { model }: ServerContext): object {
  const { tokenizer } = model;
  const ids = tokenizer.encode(body.content, {
    addBos: body.add_special ?? false,
    parseSpecial: body.parse_special ?? true,
  });
  if (!body.with_pieces) return { tokens: ids };
  const strict = new TextDecoder('utf-8', { fatal: true });
  return {
    tokens: ids.map((id) => {
      const bytes = tokenizer.decodeBytes([id]);
      try {
        return { id, piece: strict.decode(bytes) };
      } catch {
        // Part of a character: as llama-server, its bytes.
        return { id, piece: [...bytes] };
      }
    }),
  };
}

/** `POST /detokenize` */
export function detokenize(body: z.infer<typeof detokenizeRequest>, { model }: ServerContext): object {
  const { tokenizer } = model;
  const unknown = body.tokens.find((id) => id >= tokenizer.vocabSize);
  if (unknown !== undefined) {
    throw badRequest('bad-token', `expected ids below ${tokenizer.vocabSize}, found ${unknown}`, 'tokens');
  }
  return { content: tokenizer.decode(body.tokens) };
}

/** `POST /apply-template`: the prompt that a chat becomes. */
export async function applyTemplate(
  body: z.infer<typeof applyTemplateRequest>,
  context: ServerContext,
  signal: AbortSignal,
): Promise<object> {
  const chat = await readChat(body, context, signal);
  return {
    prompt: context.format
      .parts(chat)
      .map(({ text }) => text)
      .join(''),
  };
}

/** `GET /props` */
export function props(context: ServerContext): object {
  const { model, slots, sampling, modelName } = context;
  return {
    model_alias: modelName,
    total_slots: slots.total,
    chat_template: model.chatTemplate ?? null,
    default_generation_settings: {
      n_ctx: model.contextSize,
      params: {
        temperature: sampling.temperature,
        top_k: sampling.topK,
        top_p: sampling.topP,
        min_p: sampling.minP,
        repeat_penalty: sampling.repeatPenalty,
      },
    },
    modalities: { vision: model.hasVision, audio: false },
  };
}

/** `GET /v1/models` */
export function models({ modelName, created, model }: ServerContext): object {
  return {
    object: 'list',
    data: [
      {
        id: modelName,
        object: 'model',
        created,
        owned_by: 'cria',
        meta: { n_vocab: model.vocabSize, n_ctx: model.contextSize, n_ctx_train: model.config.contextLength },
      },
    ],
  };
}
