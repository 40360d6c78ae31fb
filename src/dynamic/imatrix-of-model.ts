import { CriaError } from '../base/errors.js';
import { fitEntry, type Imatrix, type ImatrixEntry } from '../formats/imatrix/index.js';
import type { Metadata, MetadataValue, TensorInfo } from '../formats/tensor-source.js';

/** llama.cpp's limit on the value of a string key that it sets (`llama_model_kv_override`). */
const MAX_STRING_BYTES = 127;

/**
 * The entries that belong to tensors of a model, one matrix per expert. Throws `imatrix-mismatch` (bad-file) when
 * the shapes differ or no entry belongs to the model.
 */
export function entriesOfModel(
  imatrix: Imatrix,
  tensors: Iterable<TensorInfo>,
): ReadonlyMap<string, ImatrixEntry> {
  const entries = new Map<string, ImatrixEntry>();
  for (const { name, shape } of tensors) {
    const entry = imatrix.entries.get(name);
    if (entry !== undefined) entries.set(name, fitEntry(name, entry, shape[0]!, shape[2] ?? 1));
  }
  if (entries.size === 0) {
    throw new CriaError(
      'bad-file',
      'imatrix-mismatch',
      `the importance matrix has ${imatrix.entries.size} entries, expected some of this model's tensors, found none`,
    );
  }
  return entries;
}

/** What llama-quantize notes in the output about the importance matrix it used. */
export function imatrixMetadata(file: string, { datasets, entries, chunkCount }: Imatrix): Metadata {
  const metadata = new Map<string, MetadataValue>();
  const text = (key: string, value: string) =>
    metadata.set(`quantize.imatrix.${key}`, { type: 'string', value: cut(value) });
  const count = (key: string, value: number) =>
    metadata.set(`quantize.imatrix.${key}`, { type: 'uint32', value });
  text('file', file);
  if (datasets[0] !== undefined) text('dataset', datasets[0]);
  count('entries_count', entries.size);
  count('chunks_count', chunkCount);
  return metadata;
}

/** The first whole characters that fit. */
function cut(text: string): string {
  let bytes = 0;
  let end = 0;
  for (const character of text) {
    bytes += Buffer.byteLength(character);
    if (bytes > MAX_STRING_BYTES) break;
    end += character.length;
  }
  return text.slice(0, end);
}
