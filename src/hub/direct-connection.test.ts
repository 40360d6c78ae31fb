import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { DirectConnection } from './direct-connection.js';
import { ReadBlocks } from './read-blocks.js';

let server: Server | undefined;
const sockets: Socket[] = [];

afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
  server?.close();
});

/** A server that answers each request with what `answer` writes. */
async function serve(answer: (socket: Socket, request: number) => void): Promise<URL> {
  let requests = 0;
  server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    socket.on('data', () => answer(socket, requests++));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/file`);
}

function collect(wait?: () => Promise<void>) {
  const chunks: Buffer[] = [];
  const sink = {
    head: () => {},
    data: (chunk: Buffer) => {
      chunks.push(Buffer.from(chunk));
      return wait?.();
    },
  };
  return { sink, bytes: () => Buffer.concat(chunks) };
}

it('reads bodies of several blocks, one after another over one connection, as fast as they are taken', async () => {
  const body = randomBytes(3_500_000);
  const url = await serve((socket) => {
    socket.write(`HTTP/1.1 206 Part\r\nContent-Length: ${body.length}\r\nVary: a\r\nVary: b\r\n\r\n`);
    socket.write(body);
  });
  const connection = new DirectConnection(url, new ReadBlocks());
  for (let i = 0; i < 2; i++) {
    const { sink, bytes } = collect(() => new Promise((resolve) => setTimeout(resolve, 5)));
    const head = await connection.get(url, {}, sink, undefined);
    expect(head).toMatchObject({ status: 206, headers: { vary: 'a, b' } });
    expect(bytes().equals(body)).toBe(true);
  }
  expect(sockets).toHaveLength(1);
  connection.close();
});

it('reads a head that comes letter by letter', async () => {
  const url = await serve((socket) => {
    socket.setNoDelay(true);
    const text = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';
    const next = (i: number) => {
      if (i < text.length) socket.write(text[i]!, () => setImmediate(next, i + 1));
    };
    next(0);
  });
  const connection = new DirectConnection(url, new ReadBlocks());
  const { sink, bytes } = collect();
  expect((await connection.get(url, {}, sink, undefined))?.status).toBe(200);
  expect(bytes().toString()).toBe('ok');
  connection.close();
});

it('hands over what arrived before the connection broke', async () => {
  const url = await serve((socket) => socket.end('HTTP/1.1 206 Part\r\ncontent-length: 10\r\n\r\n1234'));
  const { sink, bytes } = collect();
  const connection = new DirectConnection(url, new ReadBlocks());
  await expect(connection.get(url, {}, sink, undefined)).rejects.toMatchObject({ name: 'TransientError' });
  expect(bytes().toString()).toBe('1234');
  expect(connection.reusable).toBe(false);
});

it.each([
  ['a body of unknown length', 'HTTP/1.1 200 OK\r\n\r\nabc'],
  ['chunks', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\nabc'],
  ['two lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabc'],
  ['a redirect', 'HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n'],
  ['no HTTP', 'SSH-2.0\r\n\r\n'],
])('leaves %s to others', async (_, answer) => {
  const url = await serve((socket) => socket.write(answer));
  const connection = new DirectConnection(url, new ReadBlocks());
  const { sink, bytes } = collect();
  expect(await connection.get(url, {}, sink, undefined)).toBeUndefined();
  expect(bytes()).toHaveLength(0);
  expect(connection.reusable).toBe(false);
});

it.each([
  ['more than announced', 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nabc', /more than it announced/],
  ['a head without end', `HTTP/1.1 200 OK\r\n${'a: b\r\n'.repeat(20_000)}`, /does not end/],
])('refuses %s', async (_, answer, message) => {
  const url = await serve((socket) => socket.write(answer));
  const { sink } = collect();
  const connection = new DirectConnection(url, new ReadBlocks());
  await expect(connection.get(url, {}, sink, undefined)).rejects.toThrow(message);
});

it('throws what the sink throws, and the reason of the signal', async () => {
  const url = await serve((socket) => socket.write('HTTP/1.1 500 No\r\ncontent-length: 9\r\n\r\n'));
  const refusal = new Error('refused');
  const sink = {
    head: () => {
      throw refusal;
    },
    data: () => undefined,
  };
  const blocks = new ReadBlocks();
  await expect(new DirectConnection(url, blocks).get(url, {}, sink, undefined)).rejects.toBe(refusal);
  const abort = new AbortController();
  const waiting = new DirectConnection(url, blocks).get(url, {}, collect().sink, abort.signal);
  abort.abort(refusal);
  await expect(waiting).rejects.toBe(refusal);
});

it('uses memory again that was given back, and no other', () => {
  const blocks = new ReadBlocks();
  const block = blocks.take();
  blocks.release(block.subarray(5, 10));
  blocks.release(block);
  blocks.release(Buffer.from('not a block'));
  expect(blocks.take().buffer).toBe(block.buffer);
  expect(blocks.take().buffer).not.toBe(block.buffer);
});
