import { openModel } from '../open-model.js';
import { checkNotAFolder } from '../output-checks.js';
import type { LoraAdapter } from './adapter.js';
import { checkAdapter, normChecksum } from './check-adapter.js';
import { writeGgufAdapter } from './gguf-adapter.js';
import { isPeftFolder, openAdapter } from './open-adapter.js';
import { writePeftAdapter } from './write-peft.js';

export interface ConvertAdapterOptions {
  /** The model it belongs to, whose checksum is then written down. */
  readonly base?: string;
  /** Told where the adapter is not of this model, or may not be. */
  readonly onWarning?: (message: string) => void;
}

/**
 * Converts a PEFT folder to a GGUF adapter, or a GGUF adapter to a PEFT folder. On any failure nothing is left. Throws
 * what `openAdapter`, `checkAdapter`, `writeGgufAdapter` and `writePeftAdapter` throw.
 */
export async function convertAdapter(
  path: string,
  out: string,
  { base, onWarning }: ConvertAdapterOptions = {},
): Promise<void> {
  const adapter = await openAdapter(path);
  try {
    const checked = base === undefined ? adapter : await withBase(adapter, base, onWarning);
    if (await isPeftFolder(path)) {
      await checkNotAFolder(out);
      await writeGgufAdapter(out, checked);
    } else {
      await writePeftAdapter(out, checked);
    }
  } finally {
    await adapter.close();
  }
}

async function withBase(
  adapter: LoraAdapter,
  path: string,
  onWarning: ConvertAdapterOptions['onWarning'],
): Promise<LoraAdapter> {
  const source = await openModel(path);
  try {
    const warning = await checkAdapter(adapter, source);
    // Whoever names the base vouches for an adapter that says nothing; one that says something else keeps saying it.
    if (warning !== undefined && adapter.base.norms !== undefined) onWarning?.(warning);
    const base = { ...adapter.base, norms: adapter.base.norms ?? (await normChecksum(source)) };
    return {
      path: adapter.path,
      base,
      tensors: adapter.tensors,
      read: (name) => adapter.read(name),
      close: () => adapter.close(),
    };
  } finally {
    await source.close();
  }
}
