import { EventParser } from './event-parser.js';
import { failureOf, RequestFailure } from './failure.js';

/** What the page needs to know of its server. */
export interface ServerInfo {
  readonly model: string;
  readonly contextSize: number;
  readonly vision: boolean;
  /** Sampling of requests that say nothing, by the request's field names. */
  readonly defaults: Readonly<Record<string, number>>;
}

export type AnswerEvent =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'call'; readonly index: number; readonly id: string; readonly name: string }
  | { readonly type: 'arguments'; readonly index: number; readonly text: string }
  | { readonly type: 'end'; readonly reason: 'stop' | 'length' | 'tool_calls' }
  | { readonly type: 'usage'; readonly prompt: number; readonly cached: number; readonly generated: number };

/** What `GET /props` says. Throws RequestFailure. */
export async function fetchServerInfo(apiKey: string): Promise<ServerInfo> {
  const response = await request('props', { headers: authorization(apiKey) });
  const props = (await response.json()) as {
    model_alias?: string;
    default_generation_settings?: { n_ctx?: number; params?: Record<string, number> };
    modalities?: { vision?: boolean };
  };
  return {
    model: props.model_alias ?? '',
    contextSize: props.default_generation_settings?.n_ctx ?? 0,
    vision: props.modalities?.vision === true,
    defaults: props.default_generation_settings?.params ?? {},
  };
}

/** The answer to a chat request, as it is made. Throws RequestFailure, and AbortError when `signal` aborts. */
export async function* streamAnswer(
  body: Readonly<Record<string, unknown>>,
  apiKey: string,
  signal: AbortSignal,
): AsyncGenerator<AnswerEvent, void, void> {
  const response = await request('v1/chat/completions', {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...authorization(apiKey) },
    body: JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }),
    signal,
  });
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  const parser = new EventParser();
  try {
    for (;;) {
      const { value, done } = await read(reader, signal);
      if (done) throw new RequestFailure({ kind: 'network' });
      for (const data of parser.push(value)) {
        if (data === '[DONE]') return;
        yield* answerEvents(JSON.parse(data));
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

interface Chunk {
  readonly error?: unknown;
  readonly choices?: readonly {
    readonly delta?: {
      readonly content?: string;
      readonly tool_calls?: readonly {
        readonly index: number;
        readonly id?: string;
        readonly function?: { readonly name?: string; readonly arguments?: string };
      }[];
    };
    readonly finish_reason?: 'stop' | 'length' | 'tool_calls' | null;
  }[];
  readonly usage?: {
    readonly prompt_tokens: number;
    readonly completion_tokens: number;
    readonly prompt_tokens_details?: { readonly cached_tokens?: number };
  } | null;
}

/** What one chunk of a streamed chat completion brings. Throws RequestFailure when it is an error. */
export function* answerEvents(chunk: Chunk): Generator<AnswerEvent, void, void> {
  if (chunk.error !== undefined) throw new RequestFailure(failureOf(500, chunk));
  for (const { delta, finish_reason: reason } of chunk.choices ?? []) {
    if (delta?.content) yield { type: 'text', text: delta.content };
    for (const { index, id, function: part } of delta?.tool_calls ?? []) {
      if (part?.name !== undefined) yield { type: 'call', index, id: id ?? `call_${index}`, name: part.name };
      if (part?.arguments) yield { type: 'arguments', index, text: part.arguments };
    }
    if (reason) yield { type: 'end', reason };
  }
  const { usage } = chunk;
  if (!usage) return;
  yield {
    type: 'usage',
    prompt: usage.prompt_tokens,
    cached: usage.prompt_tokens_details?.cached_tokens ?? 0,
    generated: usage.completion_tokens,
  };
}

function authorization(apiKey: string): Record<string, string> {
  return apiKey === '' ? {} : { authorization: `Bearer ${apiKey}` };
}

async function request(path: string, init: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, init);
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new RequestFailure({ kind: 'network' });
  }
  if (response.ok) return response;
  const body: unknown = await response.json().catch(() => undefined);
  throw new RequestFailure(failureOf(response.status, body, response.headers.get('retry-after')));
}

async function read(reader: ReadableStreamDefaultReader<string>, signal: AbortSignal) {
  try {
    return await reader.read();
  } catch (error) {
    if (signal.aborted) throw error;
    throw new RequestFailure({ kind: 'network' });
  }
}
