import { CriaError } from '../../base/errors.js';
import { INT8_SUFFIXES, ROW_FORMAT } from '../../formats/bitsandbytes/index.js';
import type { SafetensorsFile } from '../../formats/safetensors/index.js';
import { decodeInt8Rows } from '../../quant/bitsandbytes-int8.js';
import type { QuantizedWeight } from './quantized-weight.js';
import { badPart, partOf, readFloats } from './stored-parts.js';

/**
 * The 8-bit weights of bitsandbytes in a checkpoint (LLM.int8): whole numbers with a scale for each row. They come
 * back as 32-bit floats, for the file does not say what they were.
 * Throws `bad-quantized-tensor`, and `unsupported-quantization` for an order other than row by row.
 */
export async function int8Weights(file: SafetensorsFile): Promise<QuantizedWeight[]> {
  const weights: QuantizedWeight[] = [];
  for (const name of file.tensors.keys()) {
    if (!name.endsWith(INT8_SUFFIXES.scales)) continue;
    weights.push(await int8Weight(file, name.slice(0, -INT8_SUFFIXES.scales.length)));
  }
  return weights;
}

async function int8Weight(file: SafetensorsFile, module: string): Promise<QuantizedWeight> {
  const name = `${module}.weight`;
  const scales = module + INT8_SUFFIXES.scales;
  const format = module + INT8_SUFFIXES.format;
  const stored = file.tensors.get(name);
  if (stored?.dtype !== 'I8' || stored.shape.length !== 2) {
    const found = stored ? `${stored.dtype} of shape [${stored.shape.join(', ')}]` : 'none';
    throw badPart(file, name, 'I8 rows', found);
  }
  const [rows, columns] = stored.shape as [number, number];
  partOf(file, scales, ['F32'], rows);
  if (file.tensors.has(format)) await checkRowFormat(file, format);
  return {
    name,
    shape: stored.shape,
    type: 'F32',
    scaled: true,
    storedAs: [name, scales, format],
    decode: (first, target) => decodeRows(file, { name, scales, columns }, first, target),
  };
}

async function checkRowFormat(file: SafetensorsFile, name: string): Promise<void> {
  partOf(file, name, ['U8'], 1);
  const format = new Uint8Array(1);
  await file.read(name, 0, format);
  if (format[0] === ROW_FORMAT) return;
  throw new CriaError(
    'unsupported',
    'unsupported-quantization',
    `'${file.path}': expected 8-bit weights in row order, found ${name} ${format[0]}`,
  );
}

interface Rows {
  readonly name: string;
  readonly scales: string;
  readonly columns: number;
}

/** Whole rows are decoded, of which the wanted numbers are kept. */
async function decodeRows(
  file: SafetensorsFile,
  { name, scales, columns }: Rows,
  first: number,
  target: Float32Array,
): Promise<void> {
  const from = Math.floor(first / columns);
  const rows = Math.ceil((first + target.length) / columns) - from;
  const codes = new Int8Array(rows * columns);
  await file.read(name, from * columns, new Uint8Array(codes.buffer));
  const values = new Float32Array(codes.length);
  decodeInt8Rows(codes, columns, await readFloats(file, scales, from, rows), values);
  const skip = first - from * columns;
  target.set(values.subarray(skip, skip + target.length));
}
