import { lstat, readdir, realpath, rm, rmdir } from 'node:fs/promises';
import { dirname, join, sep } from 'node:path';
import { CriaError } from '../base/errors.js';
import { fileError } from '../base/file-errors.js';
import { didYouMean } from '../base/suggest.js';
import { RepoCache } from './cache-layout.js';
import { type CachedFile, type CachedSnapshot, modelsOf, readCache, readRepo } from './cached-models.js';
import { parseGgufName } from './gguf-names.js';
import type { ModelName } from './model-name.js';
import { findModel } from './select-files.js';

/** What removing a model is going to do. */
export interface Removal {
  /** The links, or copies, in the snapshots. */
  readonly files: readonly CachedFile[];
  /** Contents that nothing else in the cache needs. */
  readonly blobs: readonly string[];
  /** Bytes that removing them frees. */
  readonly freedBytes: number;
  run(): Promise<void>;
}

/**
 * Plans the removal of a model from the cache: of one type, with projectors and other companions when no model is left
 * beside them, or of a whole repository; from all revisions, or one. Contents that a file elsewhere in the repository
 * still links to stay. Nothing outside the repository's folder is touched.
 * Throws `not-in-cache` (not-found).
 */
export async function planRemoval(name: ModelName, cacheFolder: string): Promise<Removal> {
  const { repo, revision } = name;
  const cache = new RepoCache(cacheFolder, repo);
  const snapshots = await readRepo(cacheFolder, repo);
  const affected = snapshots.filter(
    ({ commit, refs }) => revision === undefined || commit === revision || refs.includes(revision),
  );
  const files = affected.flatMap((snapshot) => chosenFiles(snapshot, name));
  if (files.length === 0) throw await notInCache(name, cacheFolder);
  const removed = new Set(files);
  const needed = new Set(
    snapshots.flatMap((snapshot) => snapshot.files.flatMap((file) => (removed.has(file) ? [] : [file.blob]))),
  );
  const everything = snapshots.every((snapshot) => snapshot.files.every((file) => removed.has(file)));
  const freed = new Map(files.filter(({ blob }) => !needed.has(blob)).map(({ blob, size }) => [blob, size]));
  const blobFolder = await realpath(cache.blobs).catch(() => cache.blobs);
  return {
    files,
    blobs: [...freed.keys()],
    freedBytes: [...freed.values()].reduce((sum, size) => sum + size, 0),
    run: async () => {
      for (const { localPath } of files) await removeFile(localPath);
      // A blob elsewhere is one that other repositories share; huggingface_hub looks after those.
      for (const blob of freed.keys()) if (dirname(blob) === blobFolder) await removeFile(blob);
      for (const { localPath } of files) await removeEmptyFolders(dirname(localPath), cache.snapshots);
      if (everything) await removeRepo(cache, cacheFolder);
      else await removeStaleRefs(cache, snapshots);
    },
  };
}

function chosenFiles(snapshot: CachedSnapshot, { quant, path }: ModelName): CachedFile[] {
  const { files } = snapshot;
  if (path !== undefined)
    return files.filter((file) => file.path === path || file.path.startsWith(`${path}/`));
  if (quant === undefined) return [...files];
  const model = findModel(files, quant) ?? [];
  const others = files.filter((file) => !model.includes(file));
  const isModel = ({ path: other }: CachedFile) =>
    parseGgufName(other)?.kind === 'model' || /\.safetensors$/.test(other);
  return model.length > 0 && !others.some(isModel) ? [...files] : model;
}

async function removeFile(path: string): Promise<void> {
  await rm(path, { force: true }).catch((error) => {
    throw fileError(error, 'remove', path);
  });
}

/** Removes folders upwards, as far as they are empty and below `limit`. */
async function removeEmptyFolders(folder: string, limit: string): Promise<void> {
  for (let at = folder; at.startsWith(limit + sep); at = dirname(at)) {
    const removed = await rmdir(at).then(
      () => true,
      () => false,
    );
    if (!removed) return;
  }
}

/** Also what interrupted downloads left. The folder has to be a real one, right inside the cache. */
async function removeRepo(cache: RepoCache, cacheFolder: string): Promise<void> {
  const found = await lstat(cache.folder).catch(() => undefined);
  if (!found?.isDirectory() || dirname(cache.folder) !== cacheFolder) return;
  await rm(cache.folder, { recursive: true, force: true }).catch((error) => {
    throw fileError(error, 'remove', cache.folder);
  });
}

/** A reference to a snapshot that is gone makes huggingface_hub report a broken cache. */
async function removeStaleRefs(cache: RepoCache, snapshots: readonly CachedSnapshot[]): Promise<void> {
  const left = new Set(await readdir(cache.snapshots).catch(() => []));
  for (const { commit, refs } of snapshots) {
    if (left.has(commit)) continue;
    for (const ref of refs) await removeFile(join(cache.refs, ...ref.split('/')));
  }
}

async function notInCache({ repo, quant, path }: ModelName, cacheFolder: string): Promise<CriaError> {
  const names = (await readCache(cacheFolder)).flatMap((snapshot) => [
    snapshot.repo,
    ...modelsOf(snapshot).map((model) => `${model.repo}:${model.quant}`),
  ]);
  const wanted = path === undefined ? (quant === undefined ? repo : `${repo}:${quant}`) : `${repo}/${path}`;
  return new CriaError(
    'not-found',
    'not-in-cache',
    `'${wanted}' is not in '${cacheFolder}'${didYouMean(wanted, names)}; 'cria list' shows what is`,
  );
}
