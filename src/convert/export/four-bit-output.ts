import {
  type FourBitDtype,
  type FourBitTensors,
  layoutFourBit,
  packQuantState,
} from '../../formats/bitsandbytes/index.js';
import type { TensorSource } from '../../formats/tensor-source.js';
import {
  encodeFourBit,
  FOUR_BIT_BLOCK,
  FOUR_BIT_VALUES,
  type FourBitType,
} from '../../quant/bitsandbytes-four-bit.js';
import { DYNAMIC_VALUES, NESTED_BLOCK, nestScales } from '../../quant/bitsandbytes-scales.js';
import { blockFormat } from '../../quant/index.js';
import {
  type FloatType,
  floatType,
  type StoredOutput,
  type StoredPiece,
  strips,
} from '../to-stored-tensors.js';
import type { LinearTensor } from './linear-tensors.js';

export interface FourBitOptions {
  readonly quantType: FourBitType;
  /** Whether scales are quantized, too: 0.37 bits less per weight. */
  readonly doubleQuantization: boolean;
}

/** Names of the float types as torch has them. */
export const TORCH_DTYPES: Readonly<Record<FloatType, FourBitDtype>> = {
  BF16: 'bfloat16',
  F16: 'float16',
  F32: 'float32',
};

/** Where a module's 4-bit tensors go, and their sizes. */
export function layoutFourBitModule(
  path: string,
  { info, modules, rows, columns }: LinearTensor,
  index: number,
  { quantType, doubleQuantization }: FourBitOptions,
): FourBitTensors {
  const state = {
    quantType,
    blocksize: FOUR_BIT_BLOCK,
    dtype: TORCH_DTYPES[floatType(path, info)],
    shape: [rows, columns],
  };
  return layoutFourBit(`${modules[index]}.weight`, state, doubleQuantization ? NESTED_BLOCK : undefined);
}

/** Module `index` of a tensor in 4 bits. Memory: a strip of rows, and a 32-bit scale for every 64 weights. */
export function fourBitOutput(
  source: TensorSource,
  linear: LinearTensor,
  index: number,
  options: FourBitOptions,
): StoredOutput {
  const tensors = layoutFourBitModule(source.path, linear, index, options);
  const { weight, absmax, values, state, nested } = tensors;
  return {
    infos: [weight, absmax, values, state, ...(nested ? [nested.absmax, nested.values] : [])],
    async *pieces() {
      const { info, rows, columns } = linear;
      const scales = new Float32Array(Math.ceil((rows * columns) / FOUR_BIT_BLOCK));
      // Strips end where blocks do.
      const unit = FOUR_BIT_BLOCK / greatestCommonDivisor(columns, FOUR_BIT_BLOCK);
      for await (const { strip, row, count } of strips(source, info, index * rows, rows, unit)) {
        const floats = new Float32Array(count * columns);
        blockFormat(info.type).decode(strip, floats);
        const first = row * columns;
        const codes = new Uint8Array(Math.ceil(floats.length / 2));
        encodeFourBit(options.quantType, floats, codes, scales.subarray(first / FOUR_BIT_BLOCK));
        yield { name: weight.name, offset: first / 2, bytes: codes };
      }
      yield* scalePieces(linear, tensors, scales, options);
    },
  };
}

function* scalePieces(
  { info, rows, columns }: LinearTensor,
  { absmax, values, state, nested }: FourBitTensors,
  scales: Float32Array,
  { quantType }: FourBitOptions,
): Generator<StoredPiece> {
  const floats = (name: string, content: Float32Array): StoredPiece => ({
    name,
    offset: 0,
    bytes: new Uint8Array(content.buffer, content.byteOffset, content.byteLength),
  });
  yield floats(values.name, FOUR_BIT_VALUES[quantType]);
  const small = nested && nestScales(scales);
  if (nested && small) {
    yield { name: absmax.name, offset: 0, bytes: small.codes };
    yield floats(nested.absmax.name, small.scales);
    yield floats(nested.values.name, DYNAMIC_VALUES);
  } else {
    yield floats(absmax.name, scales);
  }
  const json = packQuantState({
    quantType,
    blocksize: FOUR_BIT_BLOCK,
    dtype: TORCH_DTYPES[info.type as FloatType],
    shape: [rows, columns],
    ...(small && { nested: { blocksize: NESTED_BLOCK, offset: small.offset } }),
  });
  // The place was laid out before the offset was known; JSON may end in spaces.
  const bytes = Buffer.alloc(state.bytes, ' ');
  bytes.set(json);
  yield { name: state.name, offset: 0, bytes };
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
