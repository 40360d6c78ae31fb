import { spawn } from 'node:child_process';
import { access, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { FakeHub, sha256 } from '../src/hub/testing/fake-hub.js';
import { NANO_SCOUT } from './golden.js';

const CRIA = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const REPO = 'user/nano-GGUF';
const FILE = 'nano-Q8_0.gguf';

let folder: string;
let hub: FakeHub;
let model: Buffer;

function start(args: readonly string[], environment: Record<string, string> = {}) {
  const child = spawn(process.execPath, [CRIA, ...args], {
    env: {
      ...process.env,
      HF_ENDPOINT: hub?.endpoint,
      HF_HOME: join(folder, 'home'),
      LLAMA_CACHE: '',
      HF_HUB_CACHE: '',
      ...environment,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const texts = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      texts[name] += text;
    });
  }
  const outcome = new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) => {
    child.on('close', (code) => resolve({ code, ...texts }));
  });
  return { child, outcome };
}

const cria = (args: readonly string[], environment?: Record<string, string>) =>
  start(args, environment).outcome;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cria-pull-'));
  const path = join(folder, 'nano.gguf');
  expect(await cria(['quantize', NANO_SCOUT, '-o', path, '--type', 'Q8_0'])).toMatchObject({ code: 0 });
  model = await readFile(path);
  hub = await FakeHub.start({ [REPO]: { files: { [FILE]: model, 'README.md': Buffer.from('nano') } } });
});

afterEach(() => {
  hub.fault = () => undefined;
  hub.seen.length = 0;
});

afterAll(async () => {
  await hub?.close();
  await rm(folder, { recursive: true, force: true });
});

it('goes on after kill -9 where it was', async () => {
  const cache = join(folder, 'killed');
  const blobs = join(cache, 'models--user--nano-GGUF', 'blobs');
  hub.fault = ({ host, range }) =>
    host === 'cdn' && !range?.includes('=0-') ? { stallAfter: 1 << 20 } : undefined;
  const { child, outcome } = start(['pull', REPO, '--cache-dir', cache]);
  const journal = join(blobs, `${sha256(model)}.cria-ranges.incomplete`);
  while (
    !(await access(journal).then(
      () => true,
      () => false,
    ))
  ) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  child.kill('SIGKILL');
  expect((await outcome).code).toBe(null);
  expect((await readdir(join(cache, 'models--user--nano-GGUF'))).sort()).toEqual(['blobs', 'refs']);

  hub.fault = () => undefined;
  hub.seen.length = 0;
  const resumed = await cria(['pull', REPO, '--cache-dir', cache]);
  expect(resumed).toMatchObject({ code: 0 });
  const fetched = hub.seen.flatMap(({ host, range }) => {
    const [, from, to] = /=(\d+)-(\d+)/.exec(range ?? '') ?? [];
    return from === undefined || host === 'hub' ? [] : [Number(to) - Number(from) + 1];
  });
  const sum = fetched.reduce((total, bytes) => total + bytes, 0);
  expect(sum).toBeLessThan(model.length);
  expect((await readFile(resumed.stdout.trim())).equals(model)).toBe(true);
  expect(await readdir(blobs)).toEqual([sha256(model)]);
});

it('stops at Ctrl-C', async () => {
  hub.fault = ({ host }) => (host === 'cdn' ? { stallAfter: 1000 } : undefined);
  const { child, outcome } = start(['pull', REPO, '--cache-dir', join(folder, 'stopped')]);
  while (!hub.seen.some(({ host }) => host === 'cdn'))
    await new Promise((resolve) => setTimeout(resolve, 20));
  child.kill('SIGINT');
  expect(await outcome).toMatchObject({
    code: 130,
    stderr: 'cria: stopped; the same command goes on where this one stopped\n',
  });
});

it('pulls, lists, runs by name and removes', async () => {
  const pulled = await cria(['pull', `hf.co/${REPO}:q8_0`]);
  expect(pulled).toMatchObject({ code: 0 });
  expect(pulled.stderr).toMatch(/^pulling done: .* in .*\ncria run user\/nano-GGUF:q8_0\n$/);
  const listed = JSON.parse((await cria(['list', '--json'])).stdout);
  expect(listed).toMatchObject([{ name: `${REPO}:Q8_0`, quant: 'Q8_0', size: model.length }]);
  expect(listed[0].path).toBe(pulled.stdout.trim());
  expect((await cria(['list'])).stdout).toMatch(/NAME +SIZE .*\nuser\/nano-GGUF:Q8_0 +/);
  const run = await cria([
    'run',
    `${REPO}:Q8_0`,
    '-t',
    '1',
    '--temp',
    '0',
    '-n',
    '2',
    '-no-cnv',
    '-p',
    'Once',
  ]);
  expect(run).toMatchObject({ code: 0, stdout: expect.stringMatching(/^Once/) });
  const missing = await cria(['run', 'scout:Q8_0', '-p', 'x']);
  expect(missing).toMatchObject({
    code: 3,
    stderr: "cria: 'scout:Q8_0' has not been pulled yet: 'cria pull scout:Q8_0' fetches it\n",
  });
  expect(await cria(['rm', `${REPO}:Q8_0`])).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/--yes/),
  });
  expect(await cria(['rm', `${REPO}:Q8_0`, '--yes'])).toMatchObject({ code: 0 });
  expect((await cria(['list'])).stderr).toMatch(/^no models in /);
});

it('goes through the proxy, and without the token to no other host', async () => {
  const through: string[] = [];
  const proxy = createServer((request, response) => {
    through.push(request.url ?? '');
    const { host, pathname, search, port } = new URL(request.url ?? '');
    const upstream = connect(Number(port), '127.0.0.1', () => {
      const headers = Object.entries({ ...request.headers, host, connection: 'close' });
      upstream.write(
        `GET ${pathname}${search} HTTP/1.1\r\n${headers.map(([k, v]) => `${k}: ${v}`).join('\r\n')}\r\n\r\n`,
      );
    });
    upstream.pipe(response.socket!);
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const address = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  const environment = { http_proxy: address, no_proxy: '', HF_TOKEN: hub.token };
  const args = ['pull', REPO, '--cache-dir', join(folder, 'proxied')];
  try {
    expect(await cria(args, environment)).toMatchObject({ code: 0 });
    expect(through.length).toBe(hub.seen.length);
    expect(
      hub.seen.every(({ host, authorization }) => (host === 'hub') === (authorization !== undefined)),
    ).toBe(true);
  } finally {
    proxy.closeAllConnections();
    proxy.close();
  }
});
