import { randomUUID } from 'node:crypto';
import { type ToolCallEvent, toolNames } from '../chat/index.js';
import type { GeneratedToken } from '../generate/index.js';
import { type AnswerPiece, type AnswerRequest, type AnswerSummary, answer, finishReason } from './answer.js';
import { badRequest } from './api-error.js';
import { chatPrompt, readChat } from './chat-input.js';
import type { ServerContext } from './context.js';
import { generationOptions } from './generation-fields.js';
import { chatLogprobs } from './logprobs.js';
import { mergeStreams } from './merge-streams.js';
import type { ChatCompletionRequest } from './schemas.js';
import { Usage } from './usage.js';
import { withAbort } from './with-abort.js';

/** What to answer: one JSON value, or the data of server-sent events, the last of which is `[DONE]`. */
export type Reply =
  | { readonly kind: 'json'; readonly body: unknown }
  | { readonly kind: 'events'; readonly data: AsyncGenerator<string, void, void> };

/** `POST /v1/chat/completions`. Throws ApiError and CriaError before anything is sent. */
export async function chatCompletions(
  body: ChatCompletionRequest,
  context: ServerContext,
  signal: AbortSignal,
): Promise<Reply> {
  const n = body.n ?? 1;
  context.slots.checkRoom(n);
  const chat = await readChat(body.tool_choice === 'none' ? { ...body, tools: [] } : body, context, signal);
  const prompt = chatPrompt(chat, body, context);
  checkLength(prompt, context);
  const tools = chat.tools && toolNames(chat.tools);
  const form = context.forms.of(body);
  const options = {
    ...generationOptions(body, context.sampling),
    constraint: form,
    logprobs: body.logprobs ? (body.top_logprobs ?? 0) : undefined,
  };
  const adapters = context.adapters.scales(body.lora);
  const requests = Array.from(
    { length: n },
    (_, i): AnswerRequest => ({
      prompt,
      options: { ...options, seed: seedFor(options.seed, i) },
      adapters,
      tools,
      signal,
    }),
  );
  const head = {
    id: `chatcmpl-${randomUUID()}`,
    created: Math.floor(Date.now() / 1000),
    model: context.modelName,
    system_fingerprint: 'cria',
  };
  if (body.stream) {
    const includeUsage = body.stream_options?.include_usage === true;
    return { kind: 'events', data: streamChoices(requests, context, head, includeUsage) };
  }
  const usage = new Usage();
  const choices = await withAbort(signal, (shared) =>
    Promise.all(
      requests.map((request, index) => wholeChoice({ ...request, signal: shared }, index, context, usage)),
    ),
  );
  return { kind: 'json', body: { object: 'chat.completion', ...head, choices, usage: usage.toBody() } };
}

/** Prompts that leave no room for an answer are refused, and with OpenAI's code, which clients look for. */
export function checkLength(prompt: readonly number[], { model }: Pick<ServerContext, 'model'>): void {
  if (prompt.length < model.contextSize) return;
  throw badRequest(
    'context_length_exceeded',
    `the prompt has ${prompt.length} tokens: expected fewer than the context's ${model.contextSize}`,
    'messages',
  );
}

/** Each of several answers has a seed of its own, and the first that of the request. */
export function seedFor(seed: number | undefined, index: number): number | undefined {
  return seed === undefined ? undefined : seed + index;
}

interface CallDelta {
  index: number;
  id?: string;
  type?: 'function';
  function: { name?: string; arguments: string };
}

async function wholeChoice(
  request: AnswerRequest,
  index: number,
  context: ServerContext,
  usage: Usage,
): Promise<object> {
  let content = '';
  const calls: { id: string; type: 'function'; function: { name: string; arguments: string } }[] = [];
  const tokens: GeneratedToken[] = [];
  const pieces = answer(context, request);
  let step = await pieces.next();
  for (; !step.done; step = await pieces.next()) {
    tokens.push(...step.value.tokens);
    for (const event of step.value.events) {
      if (event.type === 'text') content += event.text;
      else if (event.type === 'call') {
        calls.push({ id: callId(), type: 'function', function: { name: event.name, arguments: '' } });
      } else calls[event.index]!.function.arguments += event.text;
    }
  }
  usage.add(step.value);
  return {
    index,
    message: {
      role: 'assistant',
      content: content === '' && calls.length > 0 ? null : content,
      ...(calls.length > 0 && { tool_calls: calls }),
    },
    logprobs: chatLogprobs(tokens, request.options.logprobs, context.model.tokenizer),
    finish_reason: finishReason(step.value),
  };
}

async function* streamChoices(
  requests: readonly AnswerRequest[],
  context: ServerContext,
  head: object,
  includeUsage: boolean,
): AsyncGenerator<string, void, void> {
  const usage = new Usage();
  const chunk = (choices: readonly object[], more = {}) =>
    JSON.stringify({ object: 'chat.completion.chunk', ...head, choices, ...more });
  const noUsage = includeUsage ? { usage: null } : {};
  const sources = requests.map((request) => choiceDeltas(request, context, usage));
  for await (const { index, item } of mergeStreams(sources)) yield chunk([{ index, ...item }], noUsage);
  if (includeUsage) yield chunk([], { usage: usage.toBody() });
  yield '[DONE]';
}

interface ChoiceDelta {
  readonly delta: { role?: 'assistant'; content?: string; tool_calls?: CallDelta[] };
  readonly logprobs: unknown;
  readonly finish_reason: string | null;
}

async function* choiceDeltas(
  request: AnswerRequest,
  context: ServerContext,
  usage: Usage,
): AsyncGenerator<ChoiceDelta, void, void> {
  const pieces = answer(context, request);
  let begun = false;
  let tokens: GeneratedToken[] = [];
  let step: IteratorResult<AnswerPiece, AnswerSummary>;
  try {
    for (step = await pieces.next(); !step.done; step = await pieces.next()) {
      // The role is sent once there is an answer: a refusal for want of room has a status of its own.
      if (!begun) yield { delta: { role: 'assistant', content: '' }, logprobs: null, finish_reason: null };
      begun = true;
      tokens.push(...step.value.tokens);
      for (const event of step.value.events) {
        const logprobs = chatLogprobs(tokens, request.options.logprobs, context.model.tokenizer);
        tokens = [];
        yield { delta: deltaOf(event), logprobs, finish_reason: null };
      }
    }
  } finally {
    await pieces.return(undefined as never);
  }
  usage.add(step.value);
  const logprobs = chatLogprobs(tokens, request.options.logprobs, context.model.tokenizer);
  yield { delta: {}, logprobs: tokens.length > 0 ? logprobs : null, finish_reason: finishReason(step.value) };
}

function deltaOf(event: ToolCallEvent): ChoiceDelta['delta'] {
  if (event.type === 'text') return { content: event.text };
  const { index } = event;
  return event.type === 'call'
    ? {
        tool_calls: [
          { index, id: callId(), type: 'function', function: { name: event.name, arguments: '' } },
        ],
      }
    : { tool_calls: [{ index, function: { arguments: event.text } }] };
}

function callId(): string {
  return `call_${randomUUID().replaceAll('-', '').slice(0, 24)}`;
}
