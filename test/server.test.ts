import { readFile } from 'node:fs/promises';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NANO_SCOUT } from './golden.js';
import { type ServeProcess, startServer } from './serve-process.js';

let server: ServeProcess;
let client: OpenAI;
const MODEL = 'nano-scout';

beforeAll(async () => {
  server = await startServer([NANO_SCOUT, '-np', '4', '-c', '1024', '-t', '2', '--max-body', '2MB']);
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 });
});

afterAll(() => server.stop());

const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
  fetch(server.url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' || body instanceof Uint8Array ? (body as string) : JSON.stringify(body),
  });
const ask = (content: string) => [{ role: 'user' as const, content }];

/** Value of a metric that has no labels. */
async function metric(name: string): Promise<number> {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (let i = 0; i < 400 && !(await condition()); i++) await new Promise((done) => setTimeout(done, 25));
  expect(await condition()).toBe(true);
}

describe('chats through the openai client', () => {
  const request = { model: MODEL, messages: ask('What colour is the sky?'), max_tokens: 24, seed: 7 };

  it('answers whole and streamed alike, and the same for the same seed', async () => {
    const whole = await client.chat.completions.create(request);
    const { message, finish_reason } = whole.choices[0]!;
    expect(message.role).toBe('assistant');
    expect(whole.usage!.completion_tokens).toBeLessThanOrEqual(24);
    expect(whole.usage!.total_tokens).toBe(whole.usage!.prompt_tokens + whole.usage!.completion_tokens);
    let text = '';
    let end: string | null = null;
    let usage: OpenAI.CompletionUsage | null | undefined;
    const stream = await client.chat.completions.create({
      ...request,
      stream: true,
      stream_options: { include_usage: true },
    });
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? '';
      end = chunk.choices[0]?.finish_reason ?? end;
      usage = chunk.usage ?? usage;
    }
    expect(text).toBe(message.content);
    expect(end).toBe(finish_reason);
    expect(usage!.completion_tokens).toBe(whole.usage!.completion_tokens);
    // The prompt was computed for the first request.
    expect(usage!.prompt_tokens_details!.cached_tokens).toBe(usage!.prompt_tokens - 1);
  });

  it('gives several answers, each of its own seed', async () => {
    const { choices, usage } = await client.chat.completions.create({ ...request, n: 3, temperature: 1.5 });
    expect(choices.map(({ index }) => index)).toEqual([0, 1, 2]);
    expect(new Set(choices.map(({ message }) => message.content)).size).toBe(3);
    const [first] = (await client.chat.completions.create({ ...request, temperature: 1.5 })).choices;
    expect(choices[0]!.message.content).toBe(first!.message.content);
    expect(usage!.completion_tokens).toBeGreaterThan(24);
  });

  it('tells how likely its tokens were', async () => {
    const { choices } = await client.chat.completions.create({
      ...request,
      temperature: 0,
      logprobs: true,
      top_logprobs: 3,
    });
    const { content } = choices[0]!.logprobs!;
    expect(content!.map(({ token }) => token).join('')).toContain(choices[0]!.message.content!.trim());
    for (const { token, logprob, top_logprobs } of content!) {
      expect(top_logprobs).toHaveLength(3);
      expect(top_logprobs[0]).toMatchObject({ token, logprob });
      expect(logprob).toBeLessThanOrEqual(0);
    }
  });

  it('ends at stop texts and at the limit', async () => {
    const free = await client.chat.completions.create({ ...request, temperature: 0, max_tokens: 40 });
    const text = free.choices[0]!.message.content!;
    const stop = text.slice(5, 8);
    const stopped = await client.chat.completions.create({
      ...request,
      temperature: 0,
      max_tokens: 40,
      stop,
    });
    expect(stopped.choices[0]).toMatchObject({ finish_reason: 'stop' });
    expect(stopped.choices[0]!.message.content).toBe(text.slice(0, text.indexOf(stop)));
    const short = await client.chat.completions.create({ ...request, max_tokens: 2 });
    expect(short.choices[0]!.finish_reason).toBe('length');
  });

  it('keeps answers to a JSON schema', async () => {
    const schema = {
      type: 'object',
      properties: { colour: { enum: ['blue', 'grey'] }, certain: { type: 'boolean' } },
      required: ['colour', 'certain'],
      additionalProperties: false,
    };
    for (const seed of [1, 2, 3]) {
      const { choices } = await client.chat.completions.create({
        ...request,
        seed,
        max_tokens: 200,
        response_format: { type: 'json_schema', json_schema: { name: 'sky', schema } },
      });
      const value = JSON.parse(choices[0]!.message.content!);
      expect(['blue', 'grey']).toContain(value.colour);
      expect(Object.keys(value)).toEqual(['colour', 'certain']);
      expect(typeof value.certain).toBe('boolean');
    }
  });

  const tools: OpenAI.ChatCompletionTool[] = ['weather', 'time'].map((name) => ({
    type: 'function',
    function: {
      name,
      parameters: {
        type: 'object',
        properties: { city: { type: 'string', maxLength: 12 } },
        required: ['city'],
        additionalProperties: false,
      },
    },
  }));

  it('calls tools where it has to, whole and streamed', async () => {
    const required = { ...request, tools, tool_choice: 'required' as const, max_tokens: 200 };
    const { choices } = await client.chat.completions.create(required);
    expect(choices[0]!.finish_reason).toBe('tool_calls');
    const [call] = choices[0]!.message.tool_calls as OpenAI.ChatCompletionMessageFunctionToolCall[];
    expect(['weather', 'time']).toContain(call!.function.name);
    expect(typeof JSON.parse(call!.function.arguments).city).toBe('string');

    const runner = client.chat.completions.stream(required);
    const final = await runner.finalChatCompletion();
    const [streamed] = final.choices[0]!.message.tool_calls as OpenAI.ChatCompletionMessageFunctionToolCall[];
    expect(streamed!.function).toMatchObject(call!.function);

    const named = await client.chat.completions.create({
      ...required,
      tool_choice: { type: 'function', function: { name: 'time' } },
    });
    expect(named.choices[0]!.message.tool_calls![0]).toMatchObject({ function: { name: 'time' } });
  });

  it('goes on after tool results', async () => {
    const { choices } = await client.chat.completions.create({
      ...request,
      tools,
      messages: [
        ...ask('Weather in Oslo?'),
        {
          role: 'assistant',
          content: null,
          tool_calls: [
            { id: 'call_1', type: 'function', function: { name: 'weather', arguments: '{"city":"Oslo"}' } },
          ],
        },
        { role: 'tool', tool_call_id: 'call_1', content: '{"sky":"clear"}' },
      ],
    });
    expect(choices[0]!.finish_reason).toMatch(/stop|length|tool_calls/);
  });

  it('sees pictures', async () => {
    const bytes = await readFile(new URL('golden/nano-scout/image-square.png', import.meta.url));
    const url = `data:image/png;base64,${bytes.toString('base64')}`;
    const { usage } = await client.chat.completions.create({
      ...request,
      messages: [
        {
          role: 'user',
          content: [
            { type: 'image_url', image_url: { url } },
            { type: 'text', text: 'What?' },
          ],
        },
      ],
    });
    expect(usage!.prompt_tokens).toBeGreaterThan(20);
  });
});

describe('other endpoints', () => {
  it('continue texts', async () => {
    const request = { model: MODEL, prompt: 'The sky is', max_tokens: 8, temperature: 0, logprobs: 2 };
    const { choices } = await client.completions.create({ ...request, echo: true });
    expect(choices[0]!.text).toMatch(/^The sky is/);
    expect(choices[0]!.logprobs!.tokens).toHaveLength(8);
    let text = '';
    for await (const chunk of await client.completions.create({ ...request, stream: true })) {
      text += chunk.choices[0]!.text;
    }
    expect(`The sky is${text}`).toBe(choices[0]!.text);
    const two = await client.completions.create({ ...request, prompt: ['The sky is', 'One two'] });
    expect(two.choices[0]!.text).toBe(text);
  });

  it('embed texts', async () => {
    const { data, usage } = await client.embeddings.create({
      model: MODEL,
      input: ['a llama', 'a llama', 'sums'],
    });
    const [a, b, c] = data.map(({ embedding }) => embedding);
    const dot = (x: number[], y: number[]) => x.reduce((sum, value, i) => sum + value * y[i]!, 0);
    expect(a).toHaveLength(256);
    expect(dot(a!, b!)).toBeCloseTo(1, 4);
    expect(dot(a!, c!)).toBeLessThan(0.999);
    expect(usage.prompt_tokens).toBeGreaterThan(3);
  });

  it('turn texts to tokens and back', async () => {
    const content = 'Der Himmel ist blau. 空は青い 🦙';
    const { tokens } = (await (await post('/tokenize', { content })).json()) as { tokens: number[] };
    expect(await (await post('/detokenize', { tokens })).json()).toEqual({ content });
    const pieces = (await (await post('/tokenize', { content, with_pieces: true })).json()) as {
      tokens: { id: number }[];
    };
    expect(pieces.tokens.map(({ id }) => id)).toEqual(tokens);
    const { prompt } = (await (await post('/apply-template', { messages: ask('Hi') })).json()) as {
      prompt: string;
    };
    expect(prompt).toContain('<|header_start|>user<|header_end|>\n\nHi<|eot|>');
  });

  it('describe the server', async () => {
    const get = async (path: string) => (await fetch(server.url + path)).json();
    expect(await get('/health')).toEqual({ status: 'ok' });
    expect((await client.models.list()).data[0]).toMatchObject({ id: MODEL, object: 'model' });
    expect(await get('/props')).toMatchObject({ total_slots: 4, modalities: { vision: true } });
    const { paths } = (await get('/openapi.json')) as { paths: Record<string, unknown> };
    expect(Object.keys(paths)).toContain('/v1/chat/completions');
    expect(await metric('cria_tokens_predicted_total')).toBeGreaterThan(0);
  });
});

describe('several at once', () => {
  it('get what each gets alone', async () => {
    const requests = Array.from({ length: 10 }, (_, i) => ({
      model: MODEL,
      messages: ask(`${'Tell me more. '.repeat(1 + (i % 4) * 12)} Number ${i}?`),
      max_tokens: 40,
      seed: i,
      temperature: 1,
    }));
    const text = async (request: (typeof requests)[number]) =>
      (await client.chat.completions.create(request)).choices[0]!.message.content;
    const alone: (string | null)[] = [];
    for (const request of requests) alone.push(await text(request));
    expect(await Promise.all(requests.map(text))).toEqual(alone);
  });

  it('are cancelled when their client leaves', async () => {
    const endless = {
      model: MODEL,
      messages: ask('Go on.'),
      stream: true as const,
      max_tokens: 900,
      ignore_eos: true,
    };
    const streams = await Promise.all(
      [1, 2, 3].map((seed) => client.chat.completions.create({ ...endless, seed } as typeof endless)),
    );
    await until(async () => (await metric('cria_requests_processing')) === 3);
    for (const stream of streams) stream.controller.abort();
    await until(async () => (await metric('cria_requests_processing')) === 0);
  });
});

describe('requests that are wrong', () => {
  const refusal = async (response: Response | Promise<Response>) => {
    const { status, headers } = await response;
    const { error } = (await (await response).json()) as { error: { code: string; param: string | null } };
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    return [status, error.code, error.param];
  };

  it.each([
    ['not JSON', '{"messages": [', [400, 'bad-json', null]],
    ['not UTF-8', new Uint8Array([0x22, 0xff, 0x22]), [400, 'bad-utf8', null]],
    ['no object', '[]', [400, 'bad-field', null]],
    ['no messages', {}, [400, 'bad-field', 'messages']],
    [
      'a role that is none',
      { messages: [{ role: 'king', content: '' }] },
      [400, 'bad-field', 'messages.0.role'],
    ],
    [
      'a number as content',
      { messages: [{ role: 'user', content: 1 }] },
      [400, 'bad-field', 'messages.0.content'],
    ],
    ['a negative temperature', { messages: ask('x'), temperature: -1 }, [400, 'bad-field', 'temperature']],
    [
      'too long a prompt',
      { messages: ask('word '.repeat(3000)) },
      [400, 'context_length_exceeded', 'messages'],
    ],
    ['too large a body', { messages: ask('x'.repeat(3e6)) }, [413, 'body-too-large', null]],
    [
      'a grammar that is none',
      { messages: ask('x'), grammar: 'root ::= (' },
      [400, expect.any(String), null],
    ],
    [
      'an unknown tool',
      { messages: ask('x'), tool_choice: { type: 'function', function: { name: 'f' } } },
      [400, 'no-such-tool', 'tool_choice'],
    ],
    [
      'a picture by address',
      {
        messages: [
          { role: 'user', content: [{ type: 'image_url', image_url: { url: 'http://10.0.0.1/a.png' } }] },
        ],
      },
      [400, 'image-urls-not-allowed', 'messages.0.content.0.image_url'],
    ],
    [
      'a picture that is none',
      {
        messages: [
          {
            role: 'user',
            content: [{ type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } }],
          },
        ],
      },
      [400, expect.any(String), 'messages.0.content.0.image_url'],
    ],
  ])('are refused: %s', async (_what, body, expected) => {
    expect(await refusal(post('/v1/chat/completions', body))).toEqual(expected);
  });

  it('are refused by path, method and type', async () => {
    expect(await refusal(fetch(`${server.url}/v2`))).toEqual([404, 'no-such-path', null]);
    expect(await refusal(fetch(`${server.url}/../../etc/passwd`))).toEqual([404, 'no-such-path', null]);
    expect(await refusal(fetch(`${server.url}/v1/chat/completions`))).toEqual([405, 'wrong-method', null]);
    expect(await refusal(post('/tokenize', 'content=x', { 'content-type': 'text/plain' }))).toEqual([
      415,
      'not-json',
      null,
    ]);
  });
});

describe('a guarded, crowded server', () => {
  it('asks for a key, refuses what it cannot queue, and finishes answers when it is stopped', async () => {
    const other = await startServer([
      NANO_SCOUT,
      '-np',
      '1',
      '-c',
      '1024',
      '-t',
      '1',
      '--queue',
      '0',
      '--api-key',
      'secret',
    ]);
    try {
      const open = new OpenAI({ baseURL: `${other.url}/v1`, apiKey: 'wrong', maxRetries: 0 });
      await expect(open.models.list()).rejects.toMatchObject({ status: 401 });
      expect((await fetch(`${other.url}/health`)).status).toBe(200);
      const keyed = new OpenAI({ baseURL: `${other.url}/v1`, apiKey: 'secret', maxRetries: 0 });
      const request = { model: MODEL, messages: ask('Go on.'), max_tokens: 400, seed: 1, ignore_eos: true };
      const stream = await keyed.chat.completions.create({ ...request, stream: true });
      const refused = keyed.chat.completions.create(request);
      await expect(refused).rejects.toMatchObject({ status: 503, code: 'queue-full' });
      other.child.kill('SIGTERM');
      let tokens = 0;
      let end: string | null = null;
      for await (const { choices } of stream) {
        tokens += choices[0]!.delta.content ? 1 : 0;
        end = choices[0]!.finish_reason ?? end;
      }
      expect(end).toBe('length');
      expect(tokens).toBeGreaterThan(100);
      expect(await other.exit).toBe(0);
    } finally {
      await other.stop();
    }
  });
});
