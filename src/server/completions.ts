import { randomUUID } from 'node:crypto';
import type { GeneratedToken } from '../generate/index.js';
import { type AnswerRequest, answer, finishReason } from './answer.js';
import { badRequest } from './api-error.js';
import { checkLength, type Reply, seedFor } from './chat-completions.js';
import type { ServerContext } from './context.js';
import { generationOptions } from './generation-fields.js';
import { completionLogprobs } from './logprobs.js';
import { mergeStreams } from './merge-streams.js';
import type { CompletionRequest } from './schemas.js';
import { Usage } from './usage.js';
import { withAbort } from './with-abort.js';

/** `POST /v1/completions`: texts continued as they stand, without a template. Throws ApiError and CriaError. */
export async function completions(
  body: CompletionRequest,
  context: ServerContext,
  signal: AbortSignal,
): Promise<Reply> {
  const prompts = readPrompts(body.prompt, context);
  const { tokenizer } = context.model;
  const n = body.n ?? 1;
  context.slots.checkRoom(prompts.length * n);
  const options = {
    ...generationOptions(body, context.sampling),
    // OpenAI's default for this endpoint.
    maxTokens: body.max_tokens ?? 16,
    constraint: context.forms.of(body),
    logprobs: body.logprobs ?? undefined,
  };
  const adapters = context.adapters.scales(body.lora);
  const echoes: string[] = [];
  const requests = prompts.flatMap(({ ids: prompt, text }) =>
    Array.from({ length: n }, (_, i): AnswerRequest => {
      echoes.push(body.echo ? (text ?? tokenizer.decode(prompt)) : '');
      return { prompt, options: { ...options, seed: seedFor(options.seed, i) }, adapters, signal };
    }),
  );
  const head = {
    id: `cmpl-${randomUUID()}`,
    object: 'text_completion',
    created: Math.floor(Date.now() / 1000),
    model: context.modelName,
  };
  const usage = new Usage();
  if (body.stream) {
    const includeUsage = body.stream_options?.include_usage === true;
    return { kind: 'events', data: streamTexts(requests, echoes, context, head, usage, includeUsage) };
  }
  const choices = await withAbort(signal, (shared) =>
    Promise.all(
      requests.map(async (request, index) => {
        let text = echoes[index]!;
        let logprobs: unknown = null;
        let finish: string | null = null;
        for await (const piece of textPieces({ ...request, signal: shared }, text.length, context, usage)) {
          text += piece.text;
          if (piece.finish_reason !== null) [finish, logprobs] = [piece.finish_reason, piece.allLogprobs];
        }
        return { index, text, logprobs, finish_reason: finish };
      }),
    ),
  );
  return { kind: 'json', body: { ...head, choices, usage: usage.toBody() } };
}

/** Prompts as token ids, and as text where they came as text. */
function readPrompts(
  given: CompletionRequest['prompt'],
  context: ServerContext,
): { readonly ids: number[]; readonly text: string | undefined }[] {
  const { tokenizer } = context.model;
  const several = Array.isArray(given) && (given.length === 0 || typeof given[0] !== 'number');
  const prompts = (several ? given : [given]) as readonly (string | readonly number[])[];
  if (prompts.length === 0) throw badRequest('empty-prompt', 'expected a prompt, found none', 'prompt');
  return prompts.map((prompt) => {
    const ids =
      typeof prompt === 'string'
        ? tokenizer.encode(prompt, { addBos: true, parseSpecial: true })
        : Array.from(prompt);
    if (ids.length === 0)
      throw badRequest('empty-prompt', 'expected a prompt of at least one token', 'prompt');
    checkLength(ids, context);
    return { ids, text: typeof prompt === 'string' ? prompt : undefined };
  });
}

async function* streamTexts(
  requests: readonly AnswerRequest[],
  echoes: readonly string[],
  context: ServerContext,
  head: object,
  usage: Usage,
  includeUsage: boolean,
): AsyncGenerator<string, void, void> {
  const noUsage = includeUsage ? { usage: null } : {};
  const sources = requests.map((request, i) => textPieces(request, echoes[i]!.length, context, usage));
  const echoed = new Set<number>();
  for await (const { index, item } of mergeStreams(sources)) {
    const { text, logprobs, finish_reason } = item;
    const shown = echoed.has(index) ? text : echoes[index]! + text;
    echoed.add(index);
    if (shown === '' && finish_reason === null) continue;
    yield JSON.stringify({ ...head, choices: [{ index, text: shown, logprobs, finish_reason }], ...noUsage });
  }
  if (includeUsage) yield JSON.stringify({ ...head, choices: [], usage: usage.toBody() });
  yield '[DONE]';
}

interface TextPiece {
  readonly text: string;
  readonly logprobs: unknown;
  readonly finish_reason: string | null;
  /** With the last piece: those of the whole text. */
  readonly allLogprobs?: unknown;
}

async function* textPieces(
  request: AnswerRequest,
  start: number,
  context: ServerContext,
  usage: Usage,
): AsyncGenerator<TextPiece, void, void> {
  const { tokenizer } = context.model;
  const { logprobs: wanted } = request.options;
  const all: GeneratedToken[] = [];
  let unsent: GeneratedToken[] = [];
  let offset = start;
  const pieces = answer(context, request);
  try {
    let step = await pieces.next();
    for (; !step.done; step = await pieces.next()) {
      const text = step.value.events.map((event) => (event.type === 'text' ? event.text : '')).join('');
      all.push(...step.value.tokens);
      unsent.push(...step.value.tokens);
      const logprobs = text === '' ? null : completionLogprobs(unsent, wanted, tokenizer, offset);
      if (text !== '') unsent = [];
      offset += text.length;
      yield { text, logprobs, finish_reason: null };
    }
    usage.add(step.value);
    const rest = unsent.length > 0 ? completionLogprobs(unsent, wanted, tokenizer, offset) : null;
    const allLogprobs = completionLogprobs(all, wanted, tokenizer, start);
    yield { text: '', logprobs: rest, finish_reason: finishReason(step.value), allLogprobs };
  } finally {
    await pieces.return(undefined as never);
  }
}
