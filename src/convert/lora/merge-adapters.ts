import type { TensorSource } from '../../formats/tensor-source.js';
import { type ConvertOptions, convertSource } from '../convert.js';
import { exportModel } from '../export/export-model.js';
import { openExportSource } from '../export/export-source.js';
import { openModel } from '../open-model.js';
import type { AdapterFile } from './adapter.js';
import { type MergeOptions, mergedSource } from './merged-source.js';
import { openAdaptersFor } from './open-adapter.js';

export interface MergeAdaptersOptions
  extends Pick<MergeOptions, 'type'>,
    Pick<ConvertOptions, 'splitMaxSize' | 'onProgress' | 'signal'> {
  /** Told where an adapter was, or may have been, trained on another model. */
  readonly onWarning?: (message: string) => void;
}

/**
 * Writes a model with adapters merged into its weights, tensor after tensor: a GGUF file where `out` ends in `.gguf`,
 * otherwise a checkpoint folder, whose vision tower, if it has one, stays as it is. Returns the paths written; on any
 * failure nothing is left. Throws what `openModel`, `openAdapter`, `checkAdapter`, `convertSource` and `exportModel`
 * throw.
 */
export async function mergeAdapters(
  path: string,
  out: string,
  files: readonly AdapterFile[],
  { type, splitMaxSize, onProgress, signal, onWarning }: MergeAdaptersOptions = {},
): Promise<string[]> {
  const merging = async <T>(
    base: TensorSource,
    floatsOnly: boolean,
    write: (merged: TensorSource) => Promise<T>,
  ) => {
    const adapters = await openAdaptersFor(base, files, onWarning);
    try {
      return await write(mergedSource(base, adapters, { type, floatsOnly }));
    } finally {
      await Promise.all(adapters.map(({ adapter }) => adapter.close()));
    }
  };
  if (/\.gguf$/i.test(out)) {
    const base = await openModel(path);
    const options = { splitMaxSize, onProgress, signal };
    return merging(base, false, (merged) => convertSource(merged, out, options)).finally(() => base.close());
  }
  const model = await openExportSource(path);
  const options = { maxShardSize: splitMaxSize, onProgress, signal };
  return merging(model.source, true, (source) =>
    exportModel({ ...model, source }, out, { format: { kind: 'safetensors' }, experts: 'fused', ...options }),
  ).finally(() => model.close());
}
