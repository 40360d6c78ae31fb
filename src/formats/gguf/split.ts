import { realpath } from 'node:fs/promises';
import { CriaError } from '../../base/errors.js';
import { tensorPieces, writeTensors } from '../tensor-writer.js';
import { type GgufFile, openGguf } from './gguf-file.js';
import { type GgufContent, layoutGguf } from './layout.js';

export interface SplitLimits {
  /** Largest tensor data of one part in bytes. */
  readonly maxSize?: number;
  /** Most tensors in one part. */
  readonly maxTensors?: number;
  /** Called after each tensor with the tensor bytes copied so far and the total. */
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * Copies a GGUF model into parts `PREFIX-00001-of-0000N.gguf` (a single `PREFIX.gguf` when it fits in one) and
 * returns their paths. An already split input is split anew. Throws `same-file` (usage) rather than replace a part
 * of the input; otherwise as `openGguf` and `writeGguf`.
 */
export async function splitGguf(input: string, outPrefix: string, limits: SplitLimits): Promise<string[]> {
  return copyGguf(input, `${outPrefix}.gguf`, limits);
}

/** Copies all parts of a split model into one file. Errors as for `splitGguf`. */
export async function mergeGguf(
  firstPart: string,
  output: string,
  options: Pick<SplitLimits, 'onProgress'> = {},
): Promise<void> {
  await copyGguf(firstPart, output, options);
}

async function copyGguf(input: string, output: string, limits: SplitLimits): Promise<string[]> {
  const source = await openGguf(input);
  try {
    const content: GgufContent = {
      metadata: source.metadata,
      tensors: [...source.tensors.values()],
      splitMaxSize: limits.maxSize,
      splitMaxTensors: limits.maxTensors,
    };
    const layout = layoutGguf(output, content);
    await refuseOverwriting(source, layout);
    const total = content.tensors.reduce((sum, { bytes }) => sum + bytes, 0);
    let done = 0;
    await writeTensors(layout, async function* copy(name) {
      const { bytes } = source.tensors.get(name)!;
      yield* tensorPieces(bytes, (offset, target) => source.read(name, offset, target));
      done += bytes;
      limits.onProgress?.(done, total);
    });
    return layout.map((part) => part.path);
  } finally {
    await source.close();
  }
}

async function refuseOverwriting(
  source: GgufFile,
  outputs: readonly { readonly path: string }[],
): Promise<void> {
  const inputs = new Set(await Promise.all(source.parts.map((part) => realpath(part.path))));
  for (const { path } of outputs) {
    const resolved = await realpath(path).catch(() => undefined);
    if (resolved !== undefined && inputs.has(resolved)) {
      throw new CriaError('usage', 'same-file', `'${path}' is the input itself: give another output name`);
    }
  }
}
