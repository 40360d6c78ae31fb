import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NANO_SCOUT } from './golden.js';
import { type ServeProcess, startServer } from './serve-process.js';

interface Recorded {
  readonly client: string;
  readonly requests: readonly { readonly path: string; readonly body: Record<string, unknown> }[];
}

const RECORDED = ['langchain', 'open-webui'].map((name): Recorded => {
  return JSON.parse(readFileSync(new URL(`data/clients/${name}.json`, import.meta.url), 'utf8'));
});

let server: ServeProcess;

beforeAll(async () => {
  server = await startServer([NANO_SCOUT, '-np', '2', '-c', '1024', '-t', '2']);
});

afterAll(() => server.stop());

/** Fields of OpenAI's answers that clients read. */
function check(path: string, body: Record<string, unknown>, text: string): void {
  if (path.includes('embeddings')) {
    const { data } = JSON.parse(text) as { data: { embedding: string }[] };
    expect(data).toHaveLength((body.input as string[]).length);
    expect(Buffer.from(data[0]!.embedding, 'base64')).toHaveLength(256 * 4);
  } else if (body.stream) {
    const events = text.split('\n\n').filter((event) => event.startsWith('data: '));
    expect(events.at(-1)).toBe('data: [DONE]');
    const chunks = events.slice(0, -1).map((event) => JSON.parse(event.slice(6)));
    expect(chunks[0].choices[0].delta).toEqual({ role: 'assistant', content: '' });
    expect(chunks.map((chunk) => chunk.choices[0]?.finish_reason).filter(Boolean)).toHaveLength(1);
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { prompt_tokens: expect.any(Number) } });
  } else {
    const { choices, usage } = JSON.parse(text);
    expect(choices[0]).toMatchObject({ index: 0, message: { role: 'assistant' } });
    expect(choices[0].finish_reason).toMatch(/^(stop|length|tool_calls)$/);
    expect(usage.total_tokens).toBe(usage.prompt_tokens + usage.completion_tokens);
    if (body.tool_choice) {
      expect(choices[0].message.tool_calls[0].function.name).toBe('sky');
      expect(choices[0].message.content).toBeNull();
    }
    const format = (body.response_format as { type?: string } | undefined)?.type;
    // Unseeded: spaces, which JSON allows, may use up the request's tokens.
    if (format === 'json_schema' && choices[0].finish_reason === 'stop')
      expect(['blue', 'grey']).toContain(JSON.parse(choices[0].message.content).colour);
  }
}

describe.each(RECORDED)('$client', ({ requests }) => {
  it.each(requests.map((request, i) => ({ ...request, name: `request ${i}` })))(
    '$name',
    async ({ path, body }) => {
      const response = await fetch(server.url + path, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: 'Bearer any' },
        body: JSON.stringify(body),
      });
      expect(response.status).toBe(200);
      check(path, body, await response.text());
    },
  );
});
