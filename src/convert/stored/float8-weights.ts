import type { SafetensorsFile, SafetensorsTensor } from '../../formats/safetensors/index.js';
import { E4M3_VALUES } from '../../quant/float8.js';
import type { QuantizedWeight } from './quantized-weight.js';
import { badPart, readAllFloats } from './stored-parts.js';

/** After the name of the weight, as compressed-tensors and FBGEMM have it. */
const SUFFIX = '_scale';

/**
 * The 8-bit floats (`F8_E4M3`) of a checkpoint by compressed-tensors or FBGEMM, with their scales: one for the
 * tensor, one for each output, or one for each block. Of fused experts, `[experts, inputs, outputs]`, outputs are the
 * last dimension, whatever the shape of the scales. Throws `bad-quantized-tensor`.
 */
export function float8Weights(file: SafetensorsFile): QuantizedWeight[] {
  // Rows are read tensor after tensor: the scales read last serve many reads.
  let last: { readonly name: string; readonly values: Promise<Float32Array> } | undefined;
  const scalesOf: ReadScales = (scale) => {
    if (last?.name !== scale.name) last = { name: scale.name, values: readAllFloats(file, scale) };
    return last.values;
  };
  return [...file.tensors.values()]
    .filter(({ dtype }) => dtype === 'F8_E4M3')
    .map((stored) => float8Weight(file, stored, scalesOf));
}

type ReadScales = (scale: SafetensorsTensor) => Promise<Float32Array>;

function float8Weight(
  file: SafetensorsFile,
  stored: SafetensorsTensor,
  scalesOf: ReadScales,
): QuantizedWeight {
  const { name, shape } = stored;
  const scale = file.tensors.get(name + SUFFIX);
  if (!scale || !['F32', 'F16', 'BF16'].includes(scale.dtype)) {
    throw badPart(file, name, `scales in ${name + SUFFIX}`, scale ? scale.dtype : 'none');
  }
  const indexOf = scaleIndex(shape, scale.shape);
  if (!indexOf) {
    const expected = `scales for shape [${shape.join(', ')}]`;
    throw badPart(file, scale.name, expected, `shape [${scale.shape.join(', ')}]`);
  }
  return {
    name,
    shape,
    type: 'F32',
    scaled: true,
    storedAs: [name, scale.name],
    async decode(first, target) {
      const scales = await scalesOf(scale);
      const codes = new Uint8Array(target.length);
      await file.read(name, first, codes);
      for (let i = 0; i < target.length; i++) {
        target[i] = E4M3_VALUES[codes[i]!]! * scales[indexOf(first + i)]!;
      }
    },
  };
}

/** Which scale belongs to an element; undefined for shapes that do not go together. */
function scaleIndex(
  shape: readonly number[],
  scales: readonly number[],
): ((element: number) => number) | undefined {
  const count = scales.reduce((a, b) => a * b, 1);
  const columns = shape.at(-1)!;
  if (count === 1) return () => 0;
  if (shape.length === 3) {
    const matrix = shape[1]! * columns;
    if (count !== shape[0]! * columns) return undefined;
    return (element) => Math.floor(element / matrix) * columns + (element % columns);
  }
  const rows = shape[0]!;
  if (shape.length !== 2) return undefined;
  if (count === rows && scales[0] === rows) return (element) => Math.floor(element / columns);
  const [blockRows, blockColumns] = scales as [number, number];
  const tall = blockSize(rows, blockRows);
  const wide = blockSize(columns, blockColumns);
  if (scales.length !== 2 || !tall || !wide) return undefined;
  return (element) =>
    Math.floor(element / columns / tall) * blockColumns + Math.floor((element % columns) / wide);
}

/** The power of two, of usual sizes of blocks, that cuts `length` into `count`. */
function blockSize(length: number, count: number): number | undefined {
  return [128, 64, 32, 256, 512].find((size) => Math.ceil(length / size) === count);
}
