import type { TensorInfo } from '../tensor-source.js';
import { type TensorBytes, TensorWriter, writeTensors } from '../tensor-writer.js';
import { type GgufContent, layoutGguf } from './layout.js';

/** Writes tensors of a GGUF model in any order; see TensorWriter. */
export type GgufWriter = TensorWriter;

/**
 * Starts a GGUF file, or its parts: headers are written, and tensors are expected by `writeAt` or `writeTensor`,
 * in any order. Errors are those of `layoutGguf` and of TensorWriter.
 */
export async function createGgufWriter(path: string, content: GgufContent): Promise<GgufWriter> {
  return TensorWriter.create(layoutGguf(path, content));
}

export interface GgufWriteOptions extends GgufContent {
  /** The encoded bytes of a tensor; asked for in file order, one tensor at a time. */
  readonly write: (tensor: TensorInfo) => TensorBytes | Promise<TensorBytes>;
}

/**
 * Writes a whole GGUF model and returns the paths of its files, one or several. Nothing appears under these paths
 * unless everything succeeds.
 */
export async function writeGguf(path: string, options: GgufWriteOptions): Promise<string[]> {
  const layout = layoutGguf(path, options);
  const infos = new Map(options.tensors.map((tensor) => [tensor.name, tensor]));
  await writeTensors(layout, (name) => options.write(infos.get(name)!));
  return layout.map((part) => part.path);
}
