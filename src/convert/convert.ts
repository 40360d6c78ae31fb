import { rowBytes } from '../formats/ggml-types.js';
import { layoutGguf } from '../formats/gguf/index.js';
import { rowCount, type TensorInfo, type TensorSource } from '../formats/tensor-source.js';
import { type FileLayout, TensorWriter } from '../formats/tensor-writer.js';
import { openCheckpoint, openVisionCheckpoint } from './checkpoint-source.js';
import type { ConvertType } from './metadata.js';
import { checkDiskSpace, checkNotAFolder, throwIfCancelled } from './output-checks.js';

export interface ConvertOptions {
  /** Type of the large tensors; `auto` (the default) keeps that of the checkpoint. */
  readonly type?: ConvertType | 'auto';
  /** Where to write the vision part, if it is wanted. */
  readonly mmproj?: string;
  /** Largest tensor data of one file in bytes; the model is split when it has more. */
  readonly splitMaxSize?: number;
  /** Called after each piece with the tensor bytes written so far and their total. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** Bytes of rows converted and written at once. */
const PIECE_BYTES = 8 * 2 ** 20;

/**
 * Converts a Hugging Face Llama 4 folder to a GGUF file, or to parts of one, and returns the paths written. On any
 * failure nothing is left. Throws what `openCheckpoint`, `openVisionCheckpoint` and the GGUF writer throw,
 * `disk-full` before starting where space is short, and `cancelled`.
 */
export async function convertCheckpoint(
  folder: string,
  out: string,
  options: ConvertOptions = {},
): Promise<string[]> {
  const { type, mmproj, splitMaxSize } = options;
  const outputs: Output[] = [];
  try {
    const text = await openCheckpoint(folder, { type });
    outputs.push({ source: text, layout: layoutSource(out, text, splitMaxSize) });
    if (mmproj !== undefined) {
      const vision = await openVisionCheckpoint(folder, { type });
      outputs.push({ source: vision, layout: layoutSource(mmproj, vision) });
    }
    return await writeOutputs(outputs, options);
  } finally {
    await Promise.all(outputs.map(({ source }) => source.close()));
  }
}

/**
 * Writes any model as a GGUF file, or as parts of one, tensors in the types that it has, and returns the paths written.
 * On any failure nothing is left. Throws as `convertCheckpoint` does.
 */
export async function convertSource(
  source: TensorSource,
  out: string,
  options: Pick<ConvertOptions, 'splitMaxSize' | 'onProgress' | 'signal'> = {},
): Promise<string[]> {
  return writeOutputs([{ source, layout: layoutSource(out, source, options.splitMaxSize) }], options);
}

interface Output {
  readonly source: TensorSource;
  readonly layout: readonly FileLayout[];
}

function layoutSource(path: string, source: TensorSource, splitMaxSize?: number): FileLayout[] {
  return layoutGguf(path, { metadata: source.metadata, tensors: [...source.tensors.values()], splitMaxSize });
}

async function writeOutputs(
  outputs: readonly Output[],
  { onProgress, signal }: ConvertOptions,
): Promise<string[]> {
  const files = outputs.flatMap(({ layout }) => layout);
  for (const { path } of files) await checkNotAFolder(path);
  for (const { layout } of outputs) {
    const bytes = layout.reduce((sum, part) => sum + part.bytes, 0);
    await checkDiskSpace(layout[0]!.path, bytes);
  }
  const total = outputs.reduce((sum, { source }) => sum + tensorBytes(source), 0);
  let done = 0;
  const writers: TensorWriter[] = [];
  try {
    for (const { layout } of outputs) writers.push(await TensorWriter.create(layout));
    for (const [index, { source }] of outputs.entries()) {
      for (const tensor of source.tensors.values()) {
        for await (const { offset, piece } of rowPieces(source, tensor)) {
          throwIfCancelled(signal);
          await writers[index]!.writeAt(tensor.name, offset, piece);
          done += piece.length;
          onProgress?.(done, total);
        }
      }
    }
    throwIfCancelled(signal);
    for (const writer of writers) await writer.commit();
  } catch (error) {
    await Promise.all(writers.map((writer) => writer.discard()));
    throw error;
  }
  return files.map(({ path }) => path);
}

/** A tensor in pieces of whole rows; each piece is valid until the next. */
async function* rowPieces(
  source: TensorSource,
  { name, type, shape }: TensorInfo,
): AsyncGenerator<{ offset: number; piece: Uint8Array }> {
  const row = rowBytes(type, shape[0]!);
  const rows = rowCount(shape);
  const step = Math.min(rows, Math.max(1, Math.floor(PIECE_BYTES / row)));
  const buffer = new Uint8Array(step * row);
  for (let start = 0; start < rows; start += step) {
    const count = Math.min(step, rows - start);
    const piece = buffer.subarray(0, count * row);
    await source.readRows(name, start, count, piece);
    yield { offset: start * row, piece };
  }
}

function tensorBytes(source: TensorSource): number {
  return [...source.tensors.values()].reduce((sum, { bytes }) => sum + bytes, 0);
}
