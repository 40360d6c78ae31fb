import { readdir, stat, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { formatBytes } from '../base/byte-size.js';
import { CriaError } from '../base/errors.js';
import { fileError } from '../base/file-errors.js';

/** Throws `disk-full` (resources) when the disk of `path` has less than `bytes` left. */
export async function checkDiskSpace(path: string, bytes: number): Promise<void> {
  // Where this fails (no such folder, an odd file system), writing will tell better.
  const disk = await statfs(dirname(path)).catch(() => undefined);
  if (!disk) return;
  const free = disk.bavail * disk.bsize;
  if (free < bytes) {
    const message = `'${path}' needs ${formatBytes(bytes)}, the disk has ${formatBytes(free)} left`;
    throw new CriaError('resources', 'disk-full', message);
  }
}

/** Throws `not-a-file` (usage) when a folder has the name of a file to be written: found out before the work. */
export async function checkNotAFolder(path: string): Promise<void> {
  const stats = await stat(path).catch(() => undefined);
  if (stats?.isDirectory()) {
    throw new CriaError('usage', 'not-a-file', `'${path}': expected the name of a file, found a folder`);
  }
}

/** Throws `folder-not-empty` (usage) where a folder to be written has something in it. */
export async function checkEmptyFolder(folder: string): Promise<void> {
  const entries = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw fileError(error, 'write', folder);
  });
  if (entries.length > 0) {
    const message = `'${folder}': expected a new or empty folder, found ${entries.length} entries`;
    throw new CriaError('usage', 'folder-not-empty', message);
  }
}

/** Throws `cancelled` once the signal is given. */
export function throwIfCancelled(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new CriaError('cancelled', 'cancelled', 'the conversion was cancelled');
}
