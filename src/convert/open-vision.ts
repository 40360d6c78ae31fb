import { CriaError } from '../base/errors.js';
import type { TensorInfo, TensorSource } from '../formats/tensor-source.js';
import { openVisionCheckpoint } from './checkpoint-source.js';
import { rightVisionName } from './names.js';
import { openModel } from './open-model.js';

/**
 * Opens a vision tower by path: an mmproj GGUF (`rightlyNamed`), or a multimodal checkpoint folder. Throws what
 * `openModel` and `openVisionCheckpoint` throw, and `duplicate-tensor`.
 */
export async function openVision(path: string): Promise<TensorSource> {
  const source = await openModel(path, openVisionCheckpoint);
  try {
    return rightlyNamed(source);
  } catch (error) {
    await source.close();
    throw error;
  }
}

/**
 * A tower whose layers' second norm has its own name, `ln2`, where the source has it under the one that llama.cpp
 * v0.5.0's converter gives it, `attn_post_norm`.
 */
export function rightlyNamed(source: TensorSource): TensorSource {
  const stored = new Map<string, string>();
  const tensors = new Map<string, TensorInfo>();
  for (const [found, info] of source.tensors) {
    const name = rightVisionName(found);
    if (tensors.has(name)) {
      const message = `'${source.path}' has both ${found} and ${stored.get(name)}: expected one of the two`;
      throw new CriaError('bad-file', 'duplicate-tensor', message);
    }
    stored.set(name, found);
    tensors.set(name, { ...info, name });
  }
  return {
    path: source.path,
    metadata: source.metadata,
    tensors,
    readRows: (name, ...rest) => source.readRows(stored.get(name) ?? name, ...rest),
    close: () => source.close(),
  };
}
