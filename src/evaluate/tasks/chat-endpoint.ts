import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, type Dispatcher, ProxyAgent, request } from 'undici';
import { z } from 'zod';
import { CriaError } from '../../base/errors.js';
import { quote } from '../../base/text.js';
import { proxyFor } from '../../hub/proxies.js';
import { retryAfterMs } from '../../hub/retries.js';
import type { Complete, CompletionRequest } from './evaluate-tasks.js';

export interface ChatEndpointOptions {
  /** Where `/chat/completions` is, as `http://localhost:8080/v1`. */
  readonly url: string;
  /** The model's name there. */
  readonly model: string;
  readonly apiKey?: string;
  readonly temperature: number;
  /** Most tokens of an answer; the server's own limit when absent. */
  readonly maxTokens?: number;
  /** For one answer, in seconds. */
  readonly timeoutSeconds: number;
  /** First wait after a failure, in milliseconds; tests shorten it. */
  readonly firstWaitMs?: number;
  /** Where proxies are named; `process.env` by default. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

const ATTEMPTS = 6;
const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 60_000;
const MOST_BYTES = 16 * 2 ** 20;
/** Worth another attempt: too many requests, and servers that are starting or overloaded. */
const TRANSIENT: ReadonlySet<number> = new Set([408, 409, 425, 429, 500, 502, 503, 504, 529]);

const completion = z.looseObject({
  choices: z.array(z.looseObject({ message: z.looseObject({ content: z.string().nullish() }) })).min(1),
});
const failure = z.looseObject({
  error: z.union([z.string(), z.looseObject({ message: z.string(), code: z.unknown().optional() })]),
});

/**
 * Answers by a server with OpenAI's chat API. Servers that are busy or cannot be reached are asked again, later each
 * time, up to six times in all. Throws kind `network`: `endpoint-unreachable`, `endpoint-refused` (the key),
 * `endpoint-error`, `endpoint-bad-answer`; kind `usage`: `bad-endpoint`, `prompt-too-long`; kind `cancelled`.
 */
export function chatEndpoint(options: ChatEndpointOptions): Complete {
  const url = completionsUrl(options.url);
  const dispatcher = dispatcherTo(url, options);
  return async (asked) => {
    for (let attempt = 1; ; attempt++) {
      const reply = await ask(url, dispatcher, options, asked);
      if ('text' in reply) return reply.text;
      if (attempt === ATTEMPTS) {
        const message = `${reply.problem} after ${ATTEMPTS} attempts; the same command with -o goes on where this one stopped`;
        throw new CriaError('network', 'endpoint-unreachable', message);
      }
      const backOff =
        (options.firstWaitMs ?? FIRST_WAIT_MS) * 2 ** (attempt - 1) * (0.75 + Math.random() / 2);
      const wait = Math.min(LONGEST_WAIT_MS, Math.max(backOff, reply.waitMs ?? 0));
      await sleep(wait, undefined, { signal: asked.signal });
    }
  };
}

function completionsUrl(text: string): URL {
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol)) {
    throw new CriaError(
      'usage',
      'bad-endpoint',
      `--endpoint expects an http or https address, found '${text}'`,
    );
  }
  const url = new URL(text);
  if (!url.pathname.endsWith('/chat/completions')) {
    url.pathname = `${url.pathname.replace(/\/+$/, '')}/chat/completions`;
  }
  return url;
}

function dispatcherTo(
  url: URL,
  { timeoutSeconds, environment = process.env }: ChatEndpointOptions,
): Dispatcher {
  const timeout = timeoutSeconds * 1000;
  const options = { connect: { timeout: 30_000 }, headersTimeout: timeout, bodyTimeout: timeout };
  const proxy = proxyFor(url, environment);
  return proxy === undefined ? new Agent(options) : new ProxyAgent({ ...options, uri: proxy });
}

type Reply = { readonly text: string } | { readonly problem: string; readonly waitMs?: number };

async function ask(
  url: URL,
  dispatcher: Dispatcher,
  { model, apiKey, temperature, maxTokens, timeoutSeconds }: ChatEndpointOptions,
  { messages, seed, signal }: CompletionRequest,
): Promise<Reply> {
  const timeout = AbortSignal.timeout(timeoutSeconds * 1000);
  let status: number;
  let waitMs: number | undefined;
  let body: string;
  try {
    const response = await request(url, {
      dispatcher,
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(apiKey ? { authorization: `Bearer ${apiKey}` } : {}),
      },
      body: JSON.stringify({ model, messages, temperature, seed, max_tokens: maxTokens }),
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    });
    status = response.statusCode;
    waitMs = retryAfterMs([response.headers['retry-after']].flat()[0]);
    body = await readText(response.body);
  } catch (error) {
    if (signal?.aborted) throw new CriaError('cancelled', 'cancelled', 'stopped');
    if (error instanceof CriaError) throw error;
    const reason = timeout.aborted ? `no answer within ${timeoutSeconds} s` : (error as Error).message;
    return { problem: `'${url.origin}' cannot be reached: ${reason}` };
  }
  if (status === 200) return { text: answerIn(body, url) };
  const said = problemIn(body);
  if (TRANSIENT.has(status)) return { problem: `'${url.origin}' answers ${status}${said}`, waitMs };
  throw refusal(status, said, url, model, apiKey !== undefined);
}

async function readText(stream: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    bytes += chunk.length;
    if (bytes > MOST_BYTES) {
      throw new CriaError(
        'network',
        'endpoint-bad-answer',
        `expected at most ${MOST_BYTES} bytes, found more`,
      );
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** An answer without text is one: an empty one. */
function answerIn(body: string, url: URL): string {
  const parsed = completion.safeParse(parseJson(body));
  if (parsed.success) return parsed.data.choices[0]!.message.content ?? '';
  const found = quote(body, 80);
  throw new CriaError(
    'network',
    'endpoint-bad-answer',
    `'${url}': expected a chat completion, found ${found}`,
  );
}

function problemIn(body: string): string {
  const parsed = failure.safeParse(parseJson(body));
  if (!parsed.success) return '';
  const { error } = parsed.data;
  const code = typeof error === 'object' && typeof error.code === 'string' ? ` (${error.code})` : '';
  return `: ${quote(typeof error === 'string' ? error : error.message, 200)}${code}`;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function refusal(status: number, said: string, url: URL, model: string, hasKey: boolean): CriaError {
  if (status === 401 || status === 403) {
    const hint = hasKey ? 'the key in OPENAI_API_KEY is not accepted' : 'it wants a key in OPENAI_API_KEY';
    return new CriaError('network', 'endpoint-refused', `'${url.origin}' answers ${status}: ${hint}${said}`);
  }
  if (status === 400 && /context|too long|too many tokens/i.test(said)) {
    return new CriaError(
      'usage',
      'prompt-too-long',
      `the chat does not fit the context of '${model}'${said}`,
    );
  }
  const hint = status === 404 ? ` (is '${model}' a model there, and the address right?)` : '';
  return new CriaError('network', 'endpoint-error', `'${url}' answers ${status}${said}${hint}`);
}
