import { mkdir, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { tempFolder } from '../base/testing/temp-folder.js';
import { parseGgufName } from './gguf-names.js';
import { globMatcher } from './glob.js';
import { displayName, KNOWN_MODELS, parseModelName, requireModelName } from './model-name.js';
import { proxyFor } from './proxies.js';
import { checkRepoPath } from './repo-paths.js';
import { retryAfterMs } from './retries.js';
import { findProjector, selectFiles } from './select-files.js';
import { readHubSettings } from './settings.js';

describe('names of models', () => {
  const scout = KNOWN_MODELS.scout!.repo;

  it.each([
    ['scout', { repo: scout, quant: 'UD-Q2_K_XL', isUsualQuant: true }],
    ['Maverick:UD-IQ2_XXS', { repo: KNOWN_MODELS.maverick!.repo, quant: 'UD-IQ2_XXS', isUsualQuant: false }],
    ['user/repo', { repo: 'user/repo' }],
    ['user/repo:Q4_K_M', { repo: 'user/repo', quant: 'Q4_K_M' }],
    ['hf.co/user/repo.v1:Q8_0', { repo: 'user/repo.v1', quant: 'Q8_0' }],
    ['https://huggingface.co/user/repo', { repo: 'user/repo' }],
    ['hf://user/repo', { repo: 'user/repo' }],
    [
      'https://huggingface.co/user/repo/blob/main/a%20b/c.gguf?x=1',
      { repo: 'user/repo', revision: 'main', path: 'a b/c.gguf' },
    ],
    ['user/repo/file.gguf', { repo: 'user/repo', path: 'file.gguf' }],
  ])('%s', (text, expected) => {
    expect(parseModelName(text)).toEqual(expected);
  });

  it.each([
    '',
    'llama',
    'scout:',
    'a/b:',
    '../../etc/passwd',
    './a/b',
    '/a/b',
    'a/..',
    'constructor',
    'a b/c',
    'a--b/c',
  ])('%j is none', (text) => {
    expect(parseModelName(text)).toBeUndefined();
    expect(() => requireModelName(text)).toThrow(/is not the name of a model/);
  });

  it('are short where they can be', () => {
    expect(displayName(scout, 'Q8_0')).toBe('scout:Q8_0');
    expect(displayName('user/repo', 'Q8_0')).toBe('user/repo:Q8_0');
    expect(displayName('user/repo', undefined)).toBe('user/repo');
  });
});

describe('names of files', () => {
  it.each([
    ['m-Q4_K_M.gguf', 'model', 'Q4_K_M', 1, 1],
    ['UD-IQ1_S/Llama-4-UD-IQ1_S-00002-of-00003.gguf', 'model', 'UD-IQ1_S', 2, 3],
    ['x.bf16.gguf', 'model', 'BF16', 1, 1],
    ['mmproj-F16.gguf', 'mmproj', 'F16', 1, 1],
    ['imatrix_unsloth.gguf', 'imatrix', undefined, 1, 1],
    ['plain.gguf', 'model', undefined, 1, 1],
    ['UD-Q2_K_XL.gguf', 'model', 'UD-Q2_K_XL', 1, 1],
  ])('%s', (path, kind, quant, part, parts) => {
    expect(parseGgufName(path)).toMatchObject({ kind, quant, part, parts });
  });

  it('are paths below the folder they are for', () => {
    for (const path of ['a', 'a/b.c', '.gitattributes', 'ä/日本.gguf']) checkRepoPath(path);
    const bad = [
      '',
      '/a',
      'a/',
      'a/./b',
      '..',
      'a\\b',
      'a:b',
      'a\nb',
      'x'.repeat(241),
      'a/'.repeat(600),
      'lpt1.txt',
    ];
    for (const path of [...bad, 'dot.', 'space ', '\ud800']) {
      expect(() => checkRepoPath(path)).toThrow(/it is not fetched/);
    }
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('.', '/', 'a', '\\', '\0') }), (path) => {
        try {
          checkRepoPath(path);
        } catch {
          return;
        }
        expect(join('/base', path).startsWith('/base/')).toBe(true);
      }),
    );
  });

  it.each([
    ['*.gguf', 'folder/a.gguf', true],
    ['*Q4_K_M*', 'm-Q4_K_M-00001-of-00002.gguf', true],
    ['a?c', 'a/c', true],
    ['folder/', 'folder/x/y', true],
    ['[a-c]x', 'bx', true],
    ['[!a-c]x', 'bx', false],
    ['[]]', ']', true],
    ['[z-a]', 'm', false],
    ['a[b', 'a[b', true],
    ['*.GGUF', 'a.gguf', false],
    ['a.c', 'abc', false],
    ['[^a]', '^', true],
  ])('%s and %s: %s', (pattern, path, expected) => {
    expect(globMatcher(pattern)(path)).toBe(expected);
  });
});

describe('the choice of files', () => {
  const files = [
    'BF16/m-BF16-00001-of-00002.gguf',
    'BF16/m-BF16-00002-of-00002.gguf',
    'README.md',
    'm-Q2_K.gguf',
    'm-Q4_K_M.gguf',
    'm-UD-Q2_K_XL.gguf',
    'mmproj-BF16.gguf',
    'mmproj-F32.gguf',
    'mmproj-Q8_0.gguf',
  ].map((path) => ({ path }));
  const choose = (choice: Parameters<typeof selectFiles>[1]) =>
    selectFiles(files, choice, 'user/repo').map(({ path }) => path);

  it('is a model with its parts and projector', () => {
    expect(choose({ mmproj: true })).toEqual(['m-Q4_K_M.gguf', 'mmproj-Q8_0.gguf']);
    expect(choose({ quant: 'bf16', mmproj: true })).toEqual([
      'BF16/m-BF16-00001-of-00002.gguf',
      'BF16/m-BF16-00002-of-00002.gguf',
      'mmproj-BF16.gguf',
    ]);
    expect(choose({ quant: 'Q2_K_XL', mmproj: false })).toEqual(['m-UD-Q2_K_XL.gguf']);
    expect(choose({ quant: 'Q2_K', mmproj: false })).toEqual(['m-Q2_K.gguf']);
    expect(findProjector([{ path: 'other/mmproj-F16.gguf' }], 'here/m.gguf')).toBeUndefined();
  });

  it('is what patterns and paths say', () => {
    expect(choose({ include: ['*BF16*'], exclude: ['mmproj*'], mmproj: true })).toEqual([
      'BF16/m-BF16-00001-of-00002.gguf',
      'BF16/m-BF16-00002-of-00002.gguf',
    ]);
    expect(choose({ paths: ['README.md', 'BF16'], mmproj: true })).toHaveLength(3);
    expect(() => choose({ paths: ['READ.md'], mmproj: true })).toThrow("did you mean 'README.md'");
    expect(() => selectFiles(files.slice(1), { quant: 'BF16', mmproj: false }, 'user/repo')).toThrow(
      /no model of type 'BF16'/,
    );
    expect(() => selectFiles(files.slice(0, 1), { quant: 'BF16', mmproj: false }, 'user/repo')).toThrow(
      /has 1 of the 2 parts/,
    );
  });

  it('is a checkpoint where there is no GGUF file', () => {
    const checkpoint = ['config.json', 'model-00001-of-00001.safetensors', 'original/params.json', 'x.pth'];
    expect(
      selectFiles(
        checkpoint.map((path) => ({ path })),
        { mmproj: true },
        'user/repo',
      ).map(({ path }) => path),
    ).toEqual(['config.json', 'model-00001-of-00001.safetensors']);
  });
});

describe('settings', () => {
  it('come from the variables others use', async () => {
    const home = await tempFolder();
    await writeFile(join(home, 'token'), 'hf_stored\n');
    const base = { HF_HOME: home };
    expect(await readHubSettings({}, base)).toEqual({
      endpoint: 'https://huggingface.co',
      cacheFolder: join(home, 'hub'),
      token: 'hf_stored',
      offline: false,
      xet: true,
    });
    const all = { ...base, HF_TOKEN: 'hf_t', HF_ENDPOINT: 'https://mirror/x/', HF_HUB_OFFLINE: '1' };
    expect(await readHubSettings({}, { ...all, HF_HUB_CACHE: '~/c', HF_HUB_DISABLE_XET: 'yes' })).toEqual({
      endpoint: 'https://mirror/x',
      cacheFolder: join(homedir(), 'c'),
      token: 'hf_t',
      offline: true,
      xet: false,
    });
    const first = { ...all, LLAMA_CACHE: '/l', HF_HUB_CACHE: '/h' };
    expect((await readHubSettings({ token: 'hf_flag' }, first)).cacheFolder).toBe('/l');
    expect((await readHubSettings({ token: 'hf_flag' }, first)).token).toBe('hf_flag');
    await mkdir(join(home, 'elsewhere'));
    await writeFile(join(home, 'elsewhere', 't'), 'hf_other');
    const path = { ...base, HF_TOKEN_PATH: join(home, 'elsewhere', 't') };
    expect((await readHubSettings({}, path)).token).toBe('hf_other');
  });

  it('are checked', async () => {
    await expect(readHubSettings({}, { HF_ENDPOINT: 'file:///x' })).rejects.toMatchObject({
      code: 'bad-endpoint',
    });
    await expect(readHubSettings({ token: 'a\r\nb' }, {})).rejects.toMatchObject({ code: 'bad-token' });
  });
});

describe('proxies', () => {
  const environment = {
    https_proxy: 'http://user:pass@proxy:3128',
    HTTP_PROXY: 'proxy:80',
    no_proxy: 'example.com, .internal:8080 *.dev,::1',
  };

  it.each([
    ['https://huggingface.co/x', 'http://user:pass@proxy:3128'],
    ['http://huggingface.co/x', 'http://proxy:80'],
    ['https://example.com', undefined],
    ['https://a.example.com', undefined],
    ['https://notexample.com', 'http://user:pass@proxy:3128'],
    ['http://a.internal:8080', undefined],
    ['http://a.internal', 'http://proxy:80'],
    ['http://x.dev', undefined],
    ['http://[::1]:8080/', undefined],
  ])('%s: %s', (url, expected) => {
    expect(proxyFor(new URL(url), environment)).toBe(expected);
  });

  it('are none when every host is excepted, and http ones only', () => {
    expect(proxyFor(new URL('https://x'), { all_proxy: 'http://p', NO_PROXY: '*' })).toBeUndefined();
    expect(proxyFor(new URL('https://x'), {})).toBeUndefined();
    expect(() => proxyFor(new URL('https://x'), { all_proxy: 'socks5://user:secret@p' })).toThrow(
      "expected an http or https proxy, found 'socks5://p'",
    );
  });
});

it('Retry-After is seconds or a date', () => {
  expect(retryAfterMs('3')).toBe(3000);
  expect(retryAfterMs(new Date(Date.now() - 1000).toUTCString())).toBe(0);
  expect(retryAfterMs('soon')).toBeUndefined();
});
