import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CriaError } from '../../base/errors.js';
import { openGguf } from '../../formats/gguf/index.js';
import type { LoraAdapter } from './adapter.js';
import { isGgufAdapter, openGgufAdapter } from './gguf-adapter.js';
import { openPeftAdapter } from './open-peft.js';

/** Whether a path is an adapter: a folder with an adapter_config.json, or a GGUF file of that type. */
export async function isAdapter(path: string): Promise<boolean> {
  if (await isPeftFolder(path)) return true;
  if (!(await stat(path)).isFile()) return false;
  const file = await openGguf(path);
  await file.close();
  return isGgufAdapter(file.metadata);
}

/** Opens a PEFT folder or a GGUF adapter. Throws `no-adapter` (not-found) and what `openGgufAdapter` and `openPeftAdapter` throw. */
export async function openAdapter(path: string): Promise<LoraAdapter> {
  if (await isPeftFolder(path)) return openPeftAdapter(path);
  const found = await stat(path).catch(() => undefined);
  if (found?.isFile()) return openGgufAdapter(path);
  throw new CriaError(
    'not-found',
    'no-adapter',
    `'${path}': expected a GGUF adapter or a PEFT folder with an adapter_config.json, found ${found ? 'another folder' : 'nothing'}`,
  );
}

/** Whether a folder is a PEFT adapter. */
export async function isPeftFolder(path: string): Promise<boolean> {
  return stat(join(path, 'adapter_config.json')).then(
    (found) => found.isFile(),
    () => false,
  );
}
