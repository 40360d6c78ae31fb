import { CriaError } from '../../base/errors.js';
import { quote } from '../../base/text.js';
import type { SafetensorsFile, SafetensorsTensor } from '../../formats/safetensors/index.js';
import { blockFormat } from '../../quant/index.js';

/**
 * A tensor that a quantized weight needs. Throws `bad-quantized-tensor` (bad-file) when it is not there, or is not
 * `elements` numbers of one of `dtypes`.
 */
export function partOf(
  file: SafetensorsFile,
  name: string,
  dtypes: readonly string[],
  elements: number,
): SafetensorsTensor {
  const tensor = file.tensors.get(name);
  const count = tensor?.shape.reduce((a, b) => a * b, 1);
  if (tensor && dtypes.includes(tensor.dtype) && count === elements) return tensor;
  const found = tensor ? `${tensor.dtype} of shape [${tensor.shape.join(', ')}]` : 'none';
  throw badPart(file, name, `${elements} numbers of type ${dtypes.join(' or ')}`, found);
}

export function badPart(file: SafetensorsFile, name: string, expected: string, found: string): CriaError {
  return new CriaError(
    'bad-file',
    'bad-quantized-tensor',
    `'${file.path}': expected ${quote(name)} to have ${expected}, found ${found}`,
  );
}

/** 32-bit floats from `first` on. */
export async function readFloats(
  file: SafetensorsFile,
  name: string,
  first: number,
  count: number,
): Promise<Float32Array> {
  const values = new Float32Array(count);
  await file.read(name, first * 4, new Uint8Array(values.buffer));
  return values;
}

/** All numbers of a tensor of 16-bit or 32-bit floats. */
export async function readAllFloats(
  file: SafetensorsFile,
  { name, dtype, bytes, shape }: SafetensorsTensor,
): Promise<Float32Array> {
  const stored = new Uint8Array(bytes);
  await file.read(name, 0, stored);
  const values = new Float32Array(shape.reduce((a, b) => a * b, 1));
  blockFormat(dtype as 'F32' | 'F16' | 'BF16').decode(stored, values);
  return values;
}
