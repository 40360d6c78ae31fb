import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isPrivateAddress, readImage } from './image-source.js';

const never = new AbortController().signal;
const DATA_ONLY = { allowUrls: false, allowPrivate: false, maxBytes: 1000 };
const PUBLIC = { ...DATA_ONLY, allowUrls: true };
const ANY = { ...PUBLIC, allowPrivate: true };
const read = (url: string, policy = DATA_ONLY) => readImage(url, policy, 'url', never);
const refusal = (code: string) => expect.objectContaining({ status: 400, code, param: 'url' });

let server: Server;
let origin: string;
const requests: string[] = [];

beforeAll(async () => {
  server = createServer((request, response) => {
    requests.push(request.url!);
    if (request.url === '/redirect') response.writeHead(302, { location: '/picture' }).end();
    else if (request.url === '/loop') response.writeHead(302, { location: '/loop' }).end();
    else if (request.url === '/file') response.writeHead(302, { location: 'file:///etc/passwd' }).end();
    else if (request.url === '/large') response.end(Buffer.alloc(5000));
    else if (request.url === '/picture') response.end('picture');
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(() => {
  server.close();
});

describe('pictures in requests', () => {
  it('are read from data URLs', async () => {
    const url = `data:image/png;base64,${Buffer.from('hello').toString('base64')}`;
    expect(Buffer.from(await read(url)).toString()).toBe('hello');
  });

  it.each(['data:image/png,hello', 'data:image/png;base64,%%%', 'file:///etc/passwd', 'x', 'ftp://a/b', ''])(
    'are refused as %s',
    async (url) => {
      await expect(read(url, ANY)).rejects.toEqual(refusal('bad-image-url'));
    },
  );

  it('may not be too large', async () => {
    const url = `data:image/png;base64,${'A'.repeat(2000)}`;
    await expect(read(url)).rejects.toEqual(refusal('image-too-large'));
    await expect(read(`${origin}/large`, ANY)).rejects.toEqual(refusal('image-too-large'));
  });

  it('are fetched only where that is allowed', async () => {
    await expect(read(`${origin}/picture`)).rejects.toEqual(refusal('image-urls-not-allowed'));
    expect(Buffer.from(await read(`${origin}/redirect`, ANY)).toString()).toBe('picture');
    await expect(read(`${origin}/none`, ANY)).rejects.toEqual(refusal('image-not-fetched'));
    await expect(read(`${origin}/loop`, ANY)).rejects.toEqual(refusal('image-not-fetched'));
    await expect(read(`${origin}/file`, ANY)).rejects.toEqual(refusal('image-not-fetched'));
  });

  it('are not fetched from private networks, by address or by name', async () => {
    requests.length = 0;
    const port = new URL(origin).port;
    for (const host of ['127.0.0.1', 'localhost', '[::1]', '[::ffff:127.0.0.1]', '0x7f.1', '2130706433']) {
      await expect(read(`http://${host}:${port}/picture`, PUBLIC)).rejects.toEqual(
        refusal('private-address'),
      );
    }
    expect(requests).toEqual([]);
  });
});

describe('private addresses', () => {
  it.each([
    '10.1.2.3',
    '172.31.0.1',
    '169.254.169.254',
    '0.0.0.0',
    '::',
    'fe80::1',
    'fd00::1',
    '64:ff9b::7f00:1',
    'no address',
  ])('include %s', (address) => expect(isPrivateAddress(address)).toBe(true));
  it.each(['8.8.8.8', '172.32.0.1', '2606:4700::1111'])('do not include %s', (address) =>
    expect(isPrivateAddress(address)).toBe(false),
  );
});
