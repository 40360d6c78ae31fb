import { createHash } from 'node:crypto';
import { CriaError } from '../../base/errors.js';
import { elementCount, type TensorSource } from '../../formats/tensor-source.js';
import { blockFormat } from '../../quant/index.js';
import { isExpertWeight, type LoraAdapter } from './adapter.js';

/**
 * SHA-256 (hex) of a model's norms as F32: the same for every quantization of a model, since norms are never rounded,
 * and another for every other training.
 */
export async function normChecksum(source: TensorSource): Promise<string> {
  const hash = createHash('sha256');
  const norms = [...source.tensors.values()].filter(({ name }) => name.endsWith('_norm.weight'));
  for (const { name, type, shape, bytes } of norms.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const stored = new Uint8Array(bytes);
    await source.readRows(name, 0, 1, stored);
    const floats = new Float32Array(elementCount(shape));
    blockFormat(type).decode(stored, floats);
    hash.update(`${name}\n`).update(new Uint8Array(floats.buffer));
  }
  return hash.digest('hex');
}

/** SHA-256 (hex) of what an adapter adds to a model. */
export async function adapterFingerprint(adapter: LoraAdapter): Promise<string> {
  const hash = createHash('sha256');
  for (const tensor of adapter.tensors.values()) {
    const { a, b } = await adapter.read(tensor.name);
    hash.update(JSON.stringify(tensor)).update(new Uint8Array(a.buffer)).update(new Uint8Array(b.buffer));
  }
  return hash.digest('hex');
}

/**
 * Whether an adapter fits a model. Throws `adapter-mismatch` naming the first weight that the model does not have, or
 * has in another shape; returns a warning where the adapter was, or may have been, trained on another model.
 */
export async function checkAdapter(adapter: LoraAdapter, source: TensorSource): Promise<string | undefined> {
  for (const { name, columns, rows, experts } of adapter.tensors.values()) {
    const shape = isExpertWeight(name) ? [columns, rows, experts] : [columns, rows];
    const found = source.tensors.get(name)?.shape;
    const padded = found && [...found, ...new Array(Math.max(0, shape.length - found.length)).fill(1)];
    if (padded?.length === shape.length && shape.every((n, i) => n === padded[i])) continue;
    const has = found === undefined ? 'has no such tensor' : `has [${found.join(', ')}]`;
    throw new CriaError(
      'usage',
      'adapter-mismatch',
      `'${adapter.path}' is for another model: it changes ${name} of shape [${shape.join(', ')}], '${source.path}' ${has}`,
    );
  }
  const { name, norms } = adapter.base;
  const named = name === undefined ? '' : ` ('${name}')`;
  if (norms === undefined) {
    return `'${adapter.path}' does not say by checksum which model it was trained on${named}: make sure that it is this one`;
  }
  if (norms === (await normChecksum(source))) return undefined;
  return `'${adapter.path}' was trained on another model${named} than '${source.path}': its answers may be useless`;
}
