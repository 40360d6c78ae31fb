import { CriaError } from '../base/errors.js';
import { hasControlCharacter, hasLoneSurrogate, quote } from '../base/text.js';

const MAX_PATH_BYTES = 1000;
/** File systems take 255; a file beside it is named after it and longer. */
const MAX_NAME_BYTES = 240;
/** Names that Windows keeps for devices, whatever the extension. */
const DEVICE_NAME = /^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)/i;

/**
 * Checks the name of a file in a repository before it becomes a path on this machine: relative, without `..`, and
 * usable on every system, since a folder is often carried from one to another. Throws `hub-bad-file-name` (bad-file).
 */
export function checkRepoPath(path: string): void {
  const fault = pathFault(path);
  if (fault !== undefined) {
    throw new CriaError(
      'bad-file',
      'hub-bad-file-name',
      `the repository lists a file named ${quote(path)}, which ${fault}: it is not fetched`,
    );
  }
}

function pathFault(path: string): string | undefined {
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) return `is longer than ${MAX_PATH_BYTES} bytes`;
  if (hasControlCharacter(path) || hasLoneSurrogate(path)) return 'has characters no file name should have';
  if (/[\\:*?"<>|]/.test(path)) return 'has a character that is not allowed in file names everywhere';
  for (const name of path.split('/')) {
    if (name === '') return 'is an absolute path or has an empty part';
    if (name === '.' || name === '..') return 'leaves its folder';
    if (/[. ]$/.test(name)) return 'has a part that ends in a dot or a space';
    if (DEVICE_NAME.test(name)) return 'is a device on Windows';
    if (Buffer.byteLength(name) > MAX_NAME_BYTES) return `has a part longer than ${MAX_NAME_BYTES} bytes`;
  }
  return undefined;
}
