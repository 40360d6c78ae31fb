import { readdir, realpath, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { RepoCache, repoOfFolder } from './cache-layout.js';
import { parseGgufName } from './gguf-names.js';
import { displayName, type ModelName } from './model-name.js';
import { findModel, findProjector } from './select-files.js';

/** A file of a snapshot in the cache. */
export interface CachedFile {
  /** In the repository. */
  readonly path: string;
  readonly localPath: string;
  /** The content, which several files can share; `localPath` itself where it is a copy. */
  readonly blob: string;
  readonly size: number;
  readonly modified: Date;
}

export interface CachedSnapshot {
  readonly repo: string;
  readonly commit: string;
  readonly folder: string;
  /** Branches and tags that were at this commit when they were last looked up. */
  readonly refs: readonly string[];
  readonly files: readonly CachedFile[];
}

/** A model that can be run: all parts of a GGUF file, or a checkpoint. */
export interface CachedModel {
  /** What `cria run` takes: `scout:UD-Q2_K_XL`, `user/repo:Q4_K_M`, `user/repo`. */
  readonly name: string;
  readonly repo: string;
  readonly quant: string | undefined;
  readonly commit: string;
  /** What is opened: the file or its first part, or the folder of a checkpoint. */
  readonly path: string;
  readonly files: readonly CachedFile[];
  /** Bytes of all files. */
  readonly size: number;
  readonly modified: Date;
}

/** Everything in the cache, whoever fetched it; what cannot be read is left out. */
export async function readCache(cacheFolder: string): Promise<CachedSnapshot[]> {
  const snapshots: CachedSnapshot[] = [];
  for (const name of await names(cacheFolder)) {
    const repo = repoOfFolder(name);
    if (repo !== undefined) snapshots.push(...(await readRepo(cacheFolder, repo)));
  }
  return snapshots;
}

/** The snapshots of one repository, that of `main` first, then the latest. */
export async function readRepo(cacheFolder: string, repo: string): Promise<CachedSnapshot[]> {
  const cache = new RepoCache(cacheFolder, repo);
  const refs = new Map<string, string[]>();
  for (const ref of await filesBelow(cache.refs)) {
    const commit = await cache.readRef(ref).catch(() => undefined);
    if (commit !== undefined) refs.set(commit, [...(refs.get(commit) ?? []), ref]);
  }
  const snapshots: CachedSnapshot[] = [];
  for (const commit of await names(cache.snapshots)) {
    const folder = join(cache.snapshots, commit);
    const files = await Promise.all((await filesBelow(folder)).map((path) => readFileEntry(folder, path)));
    snapshots.push({
      repo,
      commit,
      folder,
      refs: refs.get(commit) ?? [],
      files: files.filter((file) => file !== undefined),
    });
  }
  const latest = ({ files }: CachedSnapshot) =>
    Math.max(0, ...files.map(({ modified }) => modified.getTime()));
  const rank = (snapshot: CachedSnapshot) => (snapshot.refs.includes('main') ? Infinity : latest(snapshot));
  return snapshots.sort((a, b) => rank(b) - rank(a) || 0);
}

/** The models of a snapshot, those with parts missing left out. */
export function modelsOf({ repo, commit, folder, files }: CachedSnapshot): CachedModel[] {
  const about = (quant: string | undefined, path: string, parts: readonly CachedFile[]): CachedModel => ({
    name: displayName(repo, quant),
    repo,
    quant,
    commit,
    path,
    files: parts,
    size: parts.reduce((sum, { size }) => sum + size, 0),
    modified: new Date(Math.max(...parts.map(({ modified }) => modified.getTime()))),
  });
  const stems = new Map<string, CachedFile[]>();
  for (const file of files) {
    const name = parseGgufName(file.path);
    if (name?.kind === 'model') stems.set(name.stem, [...(stems.get(name.stem) ?? []), file]);
  }
  const models: CachedModel[] = [];
  for (const parts of stems.values()) {
    parts.sort((a, b) => (a.path < b.path ? -1 : 1));
    const { quant, parts: count } = parseGgufName(parts[0]!.path)!;
    if (parts.length === count) models.push(about(quant, parts[0]!.localPath, parts));
  }
  const weights = files.some(({ path }) => /^[^/]*\.safetensors$/.test(path));
  if (weights && files.some(({ path }) => path === 'config.json')) {
    models.push(
      about(
        undefined,
        folder,
        files.filter(({ path }) => parseGgufName(path) === undefined),
      ),
    );
  }
  return models;
}

/** A model in the cache by the name people say, with the projector beside it; undefined when it is not there. */
export async function findCachedModel(
  { repo, quant, isUsualQuant, revision, path }: ModelName,
  cacheFolder: string,
): Promise<{ readonly path: string; readonly projector: string | undefined } | undefined> {
  // Who says only `scout` means the one that is here.
  const named = (files: readonly CachedFile[]) =>
    findModel(files, quant) ?? (isUsualQuant ? findModel(files, undefined) : undefined);
  for (const snapshot of await readRepo(cacheFolder, repo)) {
    if (revision !== undefined && snapshot.commit !== revision && !snapshot.refs.includes(revision)) continue;
    const { files } = snapshot;
    const models = modelsOf(snapshot);
    const checkpoint = models.find((model) => model.path === snapshot.folder);
    const whole = models.flatMap((model) => (model === checkpoint ? [] : model.files));
    const file = path === undefined ? named(whole)?.[0] : files.find((other) => other.path === path);
    if (file !== undefined)
      return { path: file.localPath, projector: findProjector(files, file.path)?.localPath };
    if (checkpoint && quant === undefined && path === undefined)
      return { path: checkpoint.path, projector: undefined };
  }
  return undefined;
}

async function readFileEntry(folder: string, path: string): Promise<CachedFile | undefined> {
  const localPath = join(folder, ...path.split('/'));
  try {
    const [blob, { size, mtime }] = await Promise.all([realpath(localPath), stat(localPath)]);
    return { path, localPath, blob, size, modified: mtime };
  } catch {
    // A link whose blob is gone.
    return undefined;
  }
}

async function names(folder: string): Promise<string[]> {
  return (await readdir(folder).catch(() => [])).sort();
}

/** Paths of the files and links below a folder, with slashes. */
async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isFile() || entry.isSymbolicLink())
    .map((entry) =>
      join(entry.parentPath ?? entry.path, entry.name)
        .slice(folder.length + 1)
        .split(sep)
        .join('/'),
    )
    .sort();
}
