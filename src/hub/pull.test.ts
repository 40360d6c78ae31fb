import { randomBytes } from 'node:crypto';
import { lstat, readdir, readFile, readlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { tempFolder } from '../base/testing/temp-folder.js';
import { parseModelName } from './model-name.js';
import { type PullOptions, withPullPlan } from './pull.js';
import type { HubSettings } from './settings.js';
import { FakeHub, type FakeRepository, gitHash, sha256 } from './testing/fake-hub.js';

const MB = 1 << 20;
const model = randomBytes(9 * MB + 12345);
const [partOne, partTwo] = [randomBytes(300_000), randomBytes(200_000)];
const repository: FakeRepository = {
  files: {
    'README.md': Buffer.from('# a model\n'),
    'tiny-Q4_K_M.gguf': model,
    'UD-Q2_K_XL/tiny-UD-Q2_K_XL-00001-of-00002.gguf': partOne,
    'UD-Q2_K_XL/tiny-UD-Q2_K_XL-00002-of-00002.gguf': partTwo,
    'mmproj-F16.gguf': randomBytes(2000),
    'empty.txt': Buffer.alloc(0),
  },
};

async function setUp(repositories: Record<string, FakeRepository> = { 'user/tiny-GGUF': repository }) {
  const hub = await FakeHub.start(repositories);
  onTestFinished(() => hub.close());
  const folder = await tempFolder();
  const settings: HubSettings = {
    endpoint: hub.endpoint,
    cacheFolder: join(folder, 'hub'),
    token: undefined,
    offline: false,
    xet: true,
  };
  const repoFolder = join(settings.cacheFolder, 'models--user--tiny-GGUF');
  return { hub, folder, settings, repoFolder, snapshot: join(repoFolder, 'snapshots', hub.commit) };
}

async function pull(name: string, settings: HubSettings, options: Partial<PullOptions> = {}) {
  const seen: number[] = [];
  return withPullPlan(
    parseModelName(name)!,
    settings,
    { mmproj: true, firstWaitMs: 1, ...options },
    async (plan) => {
      await plan.run((done) => seen.push(done));
      return { ...plan, seen };
    },
  );
}

const contentRequests = (hub: FakeHub) => hub.seen.filter(({ host }) => host === 'cdn');

describe('a pull', () => {
  it('lays the files out as huggingface_hub does', async () => {
    const { hub, settings, repoFolder, snapshot } = await setUp();
    const { files, seen, totalBytes } = await pull('user/tiny-GGUF', settings);
    expect(files.map(({ path }) => path)).toEqual(['tiny-Q4_K_M.gguf', 'mmproj-F16.gguf']);
    expect((await readFile(files[0]!.localPath)).equals(model)).toBe(true);
    expect(await readlink(join(snapshot, 'tiny-Q4_K_M.gguf'))).toBe(`../../blobs/${sha256(model)}`);
    expect(await readFile(join(repoFolder, 'refs', 'main'), 'utf8')).toBe(hub.commit);
    expect((await readdir(join(repoFolder, 'blobs'))).length).toBe(2);
    expect(seen.at(-1)).toBe(totalBytes);
    expect(contentRequests(hub).length).toBeGreaterThan(2);
  });

  it('fetches nothing twice', async () => {
    const { hub, settings, snapshot } = await setUp();
    await pull('user/tiny-GGUF:Q4_K_M', settings);
    const before = contentRequests(hub).length;
    const { presentBytes, totalBytes } = await pull('user/tiny-GGUF:Q4_K_M', settings);
    expect(presentBytes).toBe(totalBytes);
    expect(contentRequests(hub).length).toBe(before);
    expect((await lstat(join(snapshot, 'tiny-Q4_K_M.gguf'))).isSymbolicLink()).toBe(true);
  });

  it('fetches all parts, in folders too, and files of the patterns', async () => {
    const { settings, snapshot } = await setUp();
    const { files } = await pull('user/tiny-GGUF:q2_k_xl', settings, { mmproj: false });
    expect(files.map(({ path }) => path)).toEqual([
      'UD-Q2_K_XL/tiny-UD-Q2_K_XL-00001-of-00002.gguf',
      'UD-Q2_K_XL/tiny-UD-Q2_K_XL-00002-of-00002.gguf',
    ]);
    expect(await readlink(join(snapshot, files[0]!.path))).toBe(`../../../blobs/${sha256(partOne)}`);
    await pull('user/tiny-GGUF', settings, { include: ['*.md', 'empty*'] });
    expect(await readFile(join(snapshot, 'README.md'), 'utf8')).toBe('# a model\n');
    expect(await readlink(join(snapshot, 'README.md'))).toBe(
      `../../blobs/${gitHash(repository.files['README.md']!)}`,
    );
    expect(await readFile(join(snapshot, 'empty.txt'), 'utf8')).toBe('');
  });

  it('puts files into a folder of their own', async () => {
    const { hub, settings, folder } = await setUp();
    const localFolder = join(folder, 'here');
    await pull('user/tiny-GGUF:UD-Q2_K_XL', settings, { localFolder });
    const path = 'UD-Q2_K_XL/tiny-UD-Q2_K_XL-00002-of-00002.gguf';
    expect((await readFile(join(localFolder, path))).equals(partTwo)).toBe(true);
    const metadata = join(localFolder, '.cache/huggingface/download', `${path}.metadata`);
    expect((await readFile(metadata, 'utf8')).split('\n').slice(0, 2)).toEqual([hub.commit, sha256(partTwo)]);
    const before = contentRequests(hub).length;
    await pull('user/tiny-GGUF:UD-Q2_K_XL', settings, { localFolder });
    expect(contentRequests(hub).length).toBe(before);
    await writeFile(join(localFolder, path), 'changed');
    await pull('user/tiny-GGUF:UD-Q2_K_XL', settings, { localFolder });
    expect((await readFile(join(localFolder, path))).equals(partTwo)).toBe(true);
  });

  it('refuses before it starts when the disk is too small', async () => {
    const { hub, settings } = await setUp();
    hub.listedSize = (path) => (path === 'tiny-Q4_K_M.gguf' ? 2 ** 50 : undefined);
    await expect(pull('user/tiny-GGUF', settings)).rejects.toMatchObject({ code: 'disk-full' });
    expect(contentRequests(hub)).toEqual([]);
  });
});

describe('a server that misbehaves', () => {
  it('drops connections', async () => {
    const { hub, settings, snapshot } = await setUp();
    hub.fault = ({ host, attempt }) =>
      host === 'cdn' && attempt % 2 === 0 ? { dropAfter: 700_000 } : undefined;
    await pull('user/tiny-GGUF:Q4_K_M', settings);
    expect((await readFile(join(snapshot, 'tiny-Q4_K_M.gguf'))).equals(model)).toBe(true);
  });

  it('ignores ranges', async () => {
    const { hub, settings, snapshot } = await setUp();
    hub.fault = ({ host, attempt }) =>
      host === 'cdn' ? { ignoreRange: true, ...(attempt === 3 && { dropAfter: 6 * MB }) } : undefined;
    await pull('user/tiny-GGUF:Q4_K_M', settings);
    expect((await readFile(join(snapshot, 'tiny-Q4_K_M.gguf'))).equals(model)).toBe(true);
  });

  it('sends wrong bytes', async () => {
    const { hub, settings, repoFolder, snapshot } = await setUp();
    hub.fault = ({ host }) => (host === 'cdn' ? { corrupt: true } : undefined);
    await expect(pull('user/tiny-GGUF:Q4_K_M', settings, { mmproj: false })).rejects.toMatchObject({
      code: 'hub-wrong-content',
    });
    expect(await readdir(join(repoFolder, 'blobs'))).toEqual([]);
    hub.fault = () => undefined;
    await pull('user/tiny-GGUF:Q4_K_M', settings);
    expect((await readFile(join(snapshot, 'tiny-Q4_K_M.gguf'))).equals(model)).toBe(true);
  });

  it('is busy for a while', async () => {
    const { hub, settings, snapshot } = await setUp();
    hub.fault = ({ attempt, path }) =>
      attempt === 0
        ? { status: path.startsWith('/api') ? 503 : 429, headers: { 'retry-after': '0' } }
        : attempt === 1
          ? { status: 500 }
          : undefined;
    await pull('user/tiny-GGUF:UD-Q2_K_XL', settings);
    expect((await readdir(join(snapshot, 'UD-Q2_K_XL'))).length).toBe(2);
  });

  it('stays busy', async () => {
    const { hub, settings } = await setUp();
    hub.fault = ({ host }) => (host === 'cdn' ? { status: 503 } : undefined);
    await expect(pull('user/tiny-GGUF:Q4_K_M', settings)).rejects.toMatchObject({
      kind: 'network',
      code: 'hub-unreachable',
    });
    hub.fault = ({ host }) =>
      host === 'cdn' ? { status: 429, headers: { 'retry-after': '99999' } } : undefined;
    await expect(pull('user/tiny-GGUF:Q4_K_M', settings)).rejects.toThrow(/asks to wait 99999 s/);
  });

  it('lists another size than it sends', async () => {
    const { hub, settings } = await setUp();
    hub.fault = ({ host }) =>
      host === 'cdn' ? { headers: { 'content-range': `bytes 0-99/${model.length + 1}` } } : undefined;
    await expect(pull('user/tiny-GGUF:Q4_K_M', settings)).rejects.toMatchObject({ code: 'hub-wrong-size' });
  });

  it('signs addresses that expire', async () => {
    const { hub, settings, snapshot } = await setUp();
    hub.fault = ({ host, attempt }) => (host === 'cdn' && attempt === 1 ? { status: 403 } : undefined);
    await pull('user/tiny-GGUF:Q4_K_M', settings, { connections: 1 });
    expect((await readFile(join(snapshot, 'tiny-Q4_K_M.gguf'))).equals(model)).toBe(true);
  });

  it('redirects elsewhere: the token stays, and other protocols are refused', async () => {
    const { hub, settings } = await setUp();
    await pull('user/tiny-GGUF:Q4_K_M', { ...settings, token: hub.token });
    expect(hub.seen.filter(({ host }) => host === 'hub').every((request) => request.authorization)).toBe(
      true,
    );
    expect(contentRequests(hub).every(({ authorization }) => authorization === undefined)).toBe(true);
    hub.fault = ({ path }) =>
      path.includes('resolve') ? { status: 302, headers: { location: 'file:///etc/passwd' } } : undefined;
    await expect(pull('user/tiny-GGUF:UD-Q2_K_XL', settings)).rejects.toMatchObject({
      code: 'hub-bad-answer',
    });
  });

  it('redirects in a circle', async () => {
    const { hub, settings } = await setUp();
    hub.fault = ({ path }) =>
      path.includes('resolve') ? { status: 302, headers: { location: path } } : undefined;
    await expect(pull('user/tiny-GGUF:Q4_K_M', settings)).rejects.toThrow(/redirects more than/);
  });

  it.each([
    '../up.gguf',
    '/etc/x.gguf',
    'a/../../b.gguf',
    'NUL.gguf',
    'c:\\x.gguf',
    'nul\0.gguf',
    'a//b.gguf',
  ])('names a file %j', async (path) => {
    const { settings, folder } = await setUp({ 'user/tiny-GGUF': { files: { [path]: randomBytes(1500) } } });
    await expect(pull('user/tiny-GGUF', settings)).rejects.toMatchObject({ code: 'hub-bad-file-name' });
    expect(await readdir(folder)).toEqual([]);
  });

  it('lists nonsense', async () => {
    const { hub, settings } = await setUp();
    const server = createServer((_, response) => response.end('<html>'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    await expect(pull('user/tiny-GGUF', { ...settings, endpoint })).rejects.toMatchObject({
      code: 'hub-bad-answer',
    });
    await hub.close();
    await expect(pull('user/tiny-GGUF', settings)).rejects.toMatchObject({ code: 'hub-unreachable' });
  });
});

describe('a file in Xet', () => {
  it('is read by chunks', async () => {
    const { hub, settings, snapshot } = await setUp({ 'user/tiny-GGUF': { ...repository, xet: true } });
    await pull('user/tiny-GGUF:Q4_K_M', { ...settings, token: hub.token }, { mmproj: false });
    expect((await readFile(join(snapshot, 'tiny-Q4_K_M.gguf'))).equals(model)).toBe(true);
    expect(contentRequests(hub)).toEqual([]);
    const blocks = hub.seen.filter(({ path }) => path.startsWith('/xet-block'));
    expect(blocks.length).toBe(3);
  });

  it.each(['/xet-auth', '/xet-v1', '/xet-block'])('comes over HTTP when %s fails', async (where) => {
    const { hub, settings, snapshot } = await setUp({ 'user/tiny-GGUF': { ...repository, xet: true } });
    hub.fault = ({ path }) => (path.startsWith(where) ? { status: 404 } : undefined);
    await pull('user/tiny-GGUF:Q4_K_M', settings, { mmproj: false });
    expect((await readFile(join(snapshot, 'tiny-Q4_K_M.gguf'))).equals(model)).toBe(true);
    expect(contentRequests(hub).length).toBe(3);
  });

  it('comes over HTTP when Xet is turned off', async () => {
    const { hub, settings } = await setUp({ 'user/tiny-GGUF': { ...repository, xet: true } });
    await pull('user/tiny-GGUF:Q4_K_M', { ...settings, xet: false }, { mmproj: false });
    expect(contentRequests(hub).length).toBe(3);
  });
});

describe('an interruption', () => {
  it('costs only what was on its way', async () => {
    const { hub, settings, repoFolder, snapshot } = await setUp();
    const stop = new AbortController();
    hub.fault = ({ host, range }) =>
      host === 'cdn' && !range?.includes('=0-') ? { stallAfter: 100_000 } : undefined;
    const stopped = withPullPlan(
      { repo: 'user/tiny-GGUF', quant: 'Q4_K_M' },
      settings,
      { mmproj: false, signal: stop.signal },
      (plan) =>
        plan.run((done) => {
          if (done >= 4 * MB) stop.abort();
        }),
    );
    await expect(stopped).rejects.toMatchObject({ code: 'cancelled' });
    expect((await readdir(join(repoFolder, 'blobs'))).sort()).toEqual([
      `${sha256(model)}.cria-ranges.incomplete`,
      `${sha256(model)}.cria.incomplete`,
    ]);
    hub.fault = () => undefined;
    hub.seen.length = 0;
    const { presentBytes } = await pull('user/tiny-GGUF:Q4_K_M', settings, { mmproj: false });
    expect(presentBytes).toBeGreaterThanOrEqual(4 * MB);
    expect(contentRequests(hub).some(({ range }) => range?.includes('=0-'))).toBe(false);
    expect((await readFile(join(snapshot, 'tiny-Q4_K_M.gguf'))).equals(model)).toBe(true);
    expect(await readdir(join(repoFolder, 'blobs'))).toEqual([sha256(model)]);
  });

  it.each(['{"size": 1}', 'not json', '[]', '{"size":9449529,"ranges":[[0,99999999999]]}'])(
    'that left the journal %j starts afresh',
    async (journal) => {
      const { settings, repoFolder, snapshot } = await setUp();
      await pull('user/tiny-GGUF', settings, { include: ['README.md'] });
      const blob = join(repoFolder, 'blobs', sha256(model));
      await writeFile(`${blob}.cria.incomplete`, Buffer.alloc(model.length));
      await writeFile(`${blob}.cria-ranges.incomplete`, journal);
      await pull('user/tiny-GGUF:Q4_K_M', settings);
      expect((await readFile(join(snapshot, 'tiny-Q4_K_M.gguf'))).equals(model)).toBe(true);
    },
  );
});

describe('a refusal', () => {
  it('of a gated repository says where to accept the licence', async () => {
    const { hub, settings } = await setUp({ 'user/tiny-GGUF': { ...repository, gated: true } });
    await expect(pull('user/tiny-GGUF', settings)).rejects.toThrow(
      `accept its licence at ${hub.endpoint}/user/tiny-GGUF, then give a token with --token`,
    );
    await expect(pull('user/tiny-GGUF', { ...settings, token: 'hf_wrong' })).rejects.toMatchObject({
      code: 'hub-gated',
    });
    await pull('user/tiny-GGUF', { ...settings, token: hub.token });
  });

  it('of a private repository asks for a token', async () => {
    const { settings } = await setUp({ 'user/tiny-GGUF': { ...repository, private: true } });
    await expect(pull('user/tiny-GGUF', settings)).rejects.toThrow(/if it is private, give a token/);
  });

  it('names what is near', async () => {
    const { settings } = await setUp();
    await expect(pull('user/tinny-GGUF', settings)).rejects.toThrow(/did you mean 'user\/tiny-GGUF'/);
    await expect(pull('user/tiny-GGUF:Q4_K_S', settings)).rejects.toThrow(
      "has no model of type 'Q4_K_S'; did you mean 'Q4_K_M'?; it has Q4_K_M, UD-Q2_K_XL",
    );
    await expect(pull('user/tiny-GGUF', settings, { paths: ['readme.md'] })).rejects.toMatchObject({
      code: 'hub-no-such-file',
    });
    await expect(pull('user/tiny-GGUF', settings, { include: ['*.bin'] })).rejects.toMatchObject({
      code: 'hub-no-such-file',
    });
    await expect(pull('user/tiny-GGUF', settings, { revision: 'v2' })).rejects.toThrow(
      "user/tiny-GGUF has no branch, tag or commit 'v2'",
    );
    await expect(pull('user/tiny-GGUF', settings, { revision: '../x' })).rejects.toMatchObject({
      code: 'bad-revision',
    });
  });

  it('to go online is kept', async () => {
    const { hub, settings } = await setUp();
    await expect(pull('user/tiny-GGUF', { ...settings, offline: true })).rejects.toMatchObject({
      code: 'hub-offline',
    });
    expect(hub.seen).toEqual([]);
  });
});
