import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { tempFolder } from '../base/testing/temp-folder.js';
import { RepoCache } from './cache-layout.js';
import { modelsOf, readCache } from './cached-models.js';
import { parseModelName } from './model-name.js';
import { planRemoval } from './remove-cached.js';
import { resolveModelArgument } from './resolve-model.js';
import { gitHash } from './testing/fake-hub.js';

const [older, newer] = ['a'.repeat(40), 'b'.repeat(40)];

/** A cache with repositories of `{ commit: { path: content } }`; `main` is at the last commit. */
async function cacheWith(repositories: Record<string, Record<string, Record<string, string>>>) {
  const folder = await tempFolder();
  for (const [repo, commits] of Object.entries(repositories)) {
    const cache = new RepoCache(folder, repo);
    for (const [commit, files] of Object.entries(commits)) {
      await cache.writeRef('main', commit);
      for (const [path, content] of Object.entries(files)) {
        const id = { kind: 'git', hex: gitHash(Buffer.from(content)) } as const;
        await mkdir(cache.blobs, { recursive: true });
        await writeFile(cache.blobPaths(id).final, content);
        await cache.link(commit, path, id);
      }
    }
  }
  return folder;
}

const settings = (cacheFolder: string) => ({
  endpoint: 'https://huggingface.co',
  cacheFolder,
  token: undefined,
  offline: false,
  xet: true,
});

const scoutRepo = parseModelName('scout')!.repo;
const sample = () =>
  cacheWith({
    [scoutRepo]: {
      [newer]: {
        'UD-IQ1_S/s-UD-IQ1_S-00001-of-00002.gguf': 'one',
        'UD-IQ1_S/s-UD-IQ1_S-00002-of-00002.gguf': 'two',
      },
    },
    'user/tiny': {
      [older]: { 'm-Q4_K_M.gguf': 'old', 'm-Q8_0.gguf': 'same', 'mmproj-F16.gguf': 'projector' },
      [newer]: { 'm-Q4_K_M.gguf': 'new!', 'm-Q8_0.gguf': 'same', 'mmproj-F16.gguf': 'projector' },
    },
    'user/checkpoint': { [newer]: { 'config.json': '{}', 'model.safetensors': 'weights' } },
  });

describe('the cache', () => {
  it('lists models, with all parts of each', async () => {
    const folder = await sample();
    await writeFile(join(folder, 'version.txt'), '1');
    const models = (await readCache(folder)).flatMap(modelsOf);
    expect(models.map(({ name, size, commit }) => [name, size, commit[0]])).toEqual([
      ['scout:UD-IQ1_S', 6, 'b'],
      ['user/checkpoint', 9, 'b'],
      ['user/tiny:Q4_K_M', 4, 'b'],
      ['user/tiny:Q8_0', 4, 'b'],
      ['user/tiny:Q4_K_M', 3, 'a'],
      ['user/tiny:Q8_0', 4, 'a'],
    ]);
    expect(await readCache(join(folder, 'missing'))).toEqual([]);
  });

  it('resolves names to paths', async () => {
    const folder = await sample();
    const resolved = async (text: string) => {
      const { path, projector } = await resolveModelArgument(text, settings(folder));
      return [path, projector].map((at) => at?.replace(`${folder}/`, ''));
    };
    const snapshot = (commit: string) => `models--user--tiny/snapshots/${commit}`;
    expect(await resolved('user/tiny:q8_0')).toEqual([
      `${snapshot(newer)}/m-Q8_0.gguf`,
      `${snapshot(newer)}/mmproj-F16.gguf`,
    ]);
    expect((await resolved('user/tiny'))[0]).toBe(`${snapshot(newer)}/m-Q4_K_M.gguf`);
    expect((await resolved(`hf.co/user/tiny/blob/${older}/m-Q8_0.gguf`))[0]).toBe(
      `${snapshot(older)}/m-Q8_0.gguf`,
    );
    expect((await resolved('user/checkpoint'))[0]).toBe(`models--user--checkpoint/snapshots/${newer}`);
    expect((await resolved('scout'))[0]).toMatch(/UD-IQ1_S-00001-of-00002\.gguf$/);
    expect((await resolved(folder))[0]).toBe(folder);
    expect(await resolved('missing.gguf')).toEqual(['missing.gguf', undefined]);
    await expect(resolved('maverick')).rejects.toThrow(
      "'maverick' has not been pulled yet: 'cria pull maverick'",
    );
    await expect(resolved('scout:Q8_0')).rejects.toMatchObject({ code: 'model-not-pulled' });
    await expect(resolved('user/other')).rejects.toThrow(/is no file here and has not been pulled/);
  });
});

describe('removing', () => {
  it('keeps what other revisions and models use', async () => {
    const folder = await sample();
    const cache = new RepoCache(folder, 'user/tiny');
    const one = await planRemoval({ repo: 'user/tiny', quant: 'Q8_0', revision: older }, folder);
    expect(one.freedBytes).toBe(0);
    await one.run();
    expect(await readFile(cache.filePath(newer, 'm-Q8_0.gguf'), 'utf8')).toBe('same');
    expect((await readdir(join(cache.snapshots, older))).sort()).toEqual([
      'm-Q4_K_M.gguf',
      'mmproj-F16.gguf',
    ]);

    await (await planRemoval({ repo: 'user/tiny', quant: 'q4_k_m', revision: older }, folder)).run();
    expect(await readdir(cache.snapshots)).toEqual([newer]);
    expect(await readFile(cache.filePath(newer, 'mmproj-F16.gguf'), 'utf8')).toBe('projector');

    await (await planRemoval({ repo: 'user/tiny', quant: 'Q4_K_M' }, folder)).run();
    expect((await readdir(join(cache.snapshots, newer))).sort()).toEqual(['m-Q8_0.gguf', 'mmproj-F16.gguf']);
    expect((await readdir(cache.blobs)).length).toBe(2);

    await (await planRemoval({ repo: 'user/tiny', quant: 'Q8_0' }, folder)).run();
    expect((await readdir(folder)).sort()).toEqual([
      'models--unsloth--Llama-4-Scout-17B-16E-Instruct-GGUF',
      'models--user--checkpoint',
    ]);
  });

  it('takes whole repositories with what interrupted downloads left', async () => {
    const folder = await sample();
    await writeFile(join(folder, 'models--user--tiny/blobs/x.cria.incomplete'), 'part');
    await (await planRemoval({ repo: 'user/tiny' }, folder)).run();
    expect(await readdir(folder)).not.toContain('models--user--tiny');
  });

  it('does not follow links out of the cache', async () => {
    const folder = await sample();
    const outside = join(await tempFolder(), 'mine.gguf');
    await writeFile(outside, randomBytes(8));
    await symlink(outside, join(folder, 'models--user--tiny/snapshots', newer, 'mine-F16.gguf'));
    await (await planRemoval({ repo: 'user/tiny', quant: 'F16' }, folder)).run();
    expect((await readFile(outside)).length).toBe(8);
    await symlink(join(outside, '..'), join(folder, 'models--user--linked'));
    await expect(planRemoval({ repo: 'user/linked' }, folder)).rejects.toMatchObject({
      code: 'not-in-cache',
    });
  });

  it('says what there is when the name is not there', async () => {
    const folder = await sample();
    await expect(planRemoval({ repo: 'user/tyny' }, folder)).rejects.toThrow(/did you mean 'user\/tiny'/);
    await expect(planRemoval({ repo: 'user/tiny', quant: 'Q4_K_S' }, folder)).rejects.toThrow(
      /did you mean 'user\/tiny:Q4_K_M'/,
    );
  });
});
