import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chatEndpoint } from './chat-endpoint.js';

let server: Server;
let url: string;
let requests = 0;
let answer: (response: ServerResponse, index: number) => void;

beforeAll(async () => {
  server = createServer((request, response) => {
    request.resume();
    request.on('end', () => answer(response, requests++));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/`;
});

afterAll(() => server.close());

const messages = [{ role: 'user', content: 'Hello' }] as const;

function ask(options: { timeoutSeconds?: number; firstWaitMs?: number; signal?: AbortSignal } = {}) {
  requests = 0;
  const { timeoutSeconds = 10, firstWaitMs = 1, signal } = options;
  const complete = chatEndpoint({
    url,
    model: 'm',
    temperature: 0,
    timeoutSeconds,
    firstWaitMs,
    environment: {},
  });
  return complete({ messages, seed: 1, signal });
}

describe('chatEndpoint', () => {
  it('asks again when the server is busy or hangs up', async () => {
    answer = (response, i) => {
      if (i === 0) response.destroy();
      else if (i === 1) response.writeHead(503).end('starting');
      else response.end('{"choices": [{"message": {"content": "Hi"}}]}');
    };
    expect(await ask()).toBe('Hi');
    expect(requests).toBe(3);
  });

  it('gives up after six attempts, and says what the last one met', async () => {
    answer = (response) => response.writeHead(429).end('{"error": {"message": "quota\\u001b[2J"}}');
    await expect(ask()).rejects.toMatchObject({
      kind: 'network',
      code: 'endpoint-unreachable',
      message: expect.stringMatching(/answers 429: "quota\\u001b\[2J" after 6 attempts/),
    });
    expect(requests).toBe(6);
  });

  it('waits no longer than it is told to, and not at all when it is stopped', async () => {
    const open: ServerResponse[] = [];
    const stop = new AbortController();
    answer = (response) => {
      open.push(response);
      if (open.length === 2) stop.abort();
    };
    const stopped = ask({ timeoutSeconds: 0.05, signal: stop.signal });
    await expect(stopped).rejects.toMatchObject({ kind: 'cancelled' });
    for (const response of open) response.destroy();
  });

  it('takes an answer without text for an empty one', async () => {
    answer = (response) => response.end('{"choices": [{"message": {"content": null}}]}');
    expect(await ask()).toBe('');
  });
});
