import type { SafetensorsInfo } from '../safetensors/index.js';
import { type QuantState, quantStateBytes } from './quant-state.js';

/** Names of what accompanies a 4-bit weight, after the name of the weight itself. */
export const FOUR_BIT_SUFFIXES = {
  absmax: '.absmax',
  values: '.quant_map',
  nestedAbsmax: '.nested_absmax',
  nestedValues: '.nested_quant_map',
  state: '.quant_state.bitsandbytes__',
} as const;

/** Names of what accompanies an 8-bit weight, after the name of its module. */
export const INT8_SUFFIXES = { scales: '.SCB', format: '.weight_format' } as const;

/** The only order of 8-bit weights that is written since bitsandbytes 0.45: row by row. */
export const ROW_FORMAT = 0;

/** The tensors that hold one 4-bit weight. */
export interface FourBitTensors {
  readonly weight: SafetensorsInfo;
  /** 32-bit floats, or bytes with double quantization. */
  readonly absmax: SafetensorsInfo;
  readonly values: SafetensorsInfo;
  readonly state: SafetensorsInfo;
  readonly nested?: { readonly absmax: SafetensorsInfo; readonly values: SafetensorsInfo };
}

/**
 * Lays out the 4-bit weight `name`, which ends in `.weight`. `nestedBlock` asks for double quantization, whose state
 * gets room for any offset: what it does not need is filled with spaces, which JSON allows.
 */
export function layoutFourBit(
  name: string,
  state: Omit<QuantState, 'nested'>,
  nestedBlock?: number,
): FourBitTensors {
  const weights = state.shape.reduce((a, b) => a * b, 1);
  const blocks = Math.ceil(weights / state.blocksize);
  const floats = (suffix: string, count: number) => info(name + suffix, 'F32', [count], count * 4);
  const bytes = (suffix: string, ...shape: number[]) => info(name + suffix, 'U8', shape, shape[0]!);
  const { absmax, values, nestedAbsmax, nestedValues, state: stateSuffix } = FOUR_BIT_SUFFIXES;
  return {
    weight: bytes('', Math.ceil(weights / 2), 1),
    absmax: nestedBlock ? bytes(absmax, blocks) : floats(absmax, blocks),
    values: floats(values, 16),
    state: bytes(stateSuffix + state.quantType, quantStateBytes(state, nestedBlock)),
    ...(nestedBlock && {
      nested: {
        absmax: floats(nestedAbsmax, Math.ceil(blocks / nestedBlock)),
        values: floats(nestedValues, 256),
      },
    }),
  };
}

/** The tensors that hold one 8-bit weight. */
export interface Int8Tensors {
  readonly weight: SafetensorsInfo;
  readonly scales: SafetensorsInfo;
  readonly format: SafetensorsInfo;
}

/** Lays out the 8-bit weight of a module, `[rows, columns]`. */
export function layoutInt8(module: string, rows: number, columns: number): Int8Tensors {
  return {
    weight: info(`${module}.weight`, 'I8', [rows, columns], rows * columns),
    scales: info(module + INT8_SUFFIXES.scales, 'F32', [rows], rows * 4),
    format: info(module + INT8_SUFFIXES.format, 'U8', [], 1),
  };
}

function info(
  name: string,
  dtype: SafetensorsInfo['dtype'],
  shape: readonly number[],
  bytes: number,
): SafetensorsInfo {
  return { name, dtype, shape, bytes };
}
