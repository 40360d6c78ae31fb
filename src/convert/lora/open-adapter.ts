import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CriaError } from '../../base/errors.js';
import { openGguf } from '../../formats/gguf/index.js';
import type { TensorSource } from '../../formats/tensor-source.js';
import type { AdapterFile, LoraAdapter, ScaledAdapter } from './adapter.js';
import { checkAdapter } from './check-adapter.js';
import { isGgufAdapter, openGgufAdapter } from './gguf-adapter.js';
import { openPeftAdapter } from './open-peft.js';

/** Whether a path is an adapter: a folder with an adapter_config.json, or a GGUF file of that type. */
export async function isAdapter(path: string): Promise<boolean> {
  if (await isPeftFolder(path)) return true;
  // What is not there, or no GGUF file, is refused by whoever reads it.
  const found = await stat(path).catch(() => undefined);
  if (!found?.isFile()) return false;
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

/**
 * Opens adapters that fit a model; the caller closes them. Throws what `openAdapter` and `checkAdapter` throw.
 * @param onWarning told where one was, or may have been, trained on another model
 */
export async function openAdaptersFor(
  source: TensorSource,
  files: readonly AdapterFile[],
  onWarning?: (message: string) => void,
): Promise<ScaledAdapter[]> {
  const opened: ScaledAdapter[] = [];
  try {
    for (const { path, scale = 1 } of files) {
      const adapter = await openAdapter(path);
      opened.push({ adapter, scale });
      const warning = await checkAdapter(adapter, source);
      if (warning !== undefined) onWarning?.(warning);
    }
  } catch (error) {
    await Promise.all(opened.map(({ adapter }) => adapter.close()));
    throw error;
  }
  return opened;
}
