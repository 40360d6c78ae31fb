import { CriaError } from '../../base/errors.js';
import { findJsonFault } from '../../base/json-text.js';
import { decodeUtf8, quote } from '../../base/text.js';

/** The dtypes a 4-bit weight may decode to, as bitsandbytes spells them. */
export type FourBitDtype = 'bfloat16' | 'float16' | 'float32';

/** What bitsandbytes keeps about a 4-bit weight, as JSON in a tensor of bytes. */
export interface QuantState {
  readonly quantType: 'nf4' | 'fp4';
  /** Weights that share a scale. */
  readonly blocksize: number;
  /** What the weights were, and decode to. */
  readonly dtype: FourBitDtype;
  /** `[outputs, inputs]` of a linear layer. */
  readonly shape: readonly number[];
  /** Of double quantization: scales that share a scale, and what is added to each. */
  readonly nested?: { readonly blocksize: number; readonly offset: number };
}

/** Largest JSON read; real ones have some 170 bytes. */
export const MAX_QUANT_STATE_BYTES = 4096;

const BLOCKSIZES = [32, 64, 128, 256, 512, 1024, 2048, 4096];

/** The bytes that bitsandbytes writes: JSON as Python's `json.dumps` spells it. */
export function packQuantState(state: QuantState): Uint8Array {
  const { quantType, blocksize, dtype, shape, nested } = state;
  const entries = [
    `"quant_type": "${quantType}"`,
    `"blocksize": ${blocksize}`,
    `"dtype": "${dtype}"`,
    `"shape": [${shape.join(', ')}]`,
  ];
  if (nested) {
    entries.push(
      `"nested_blocksize": ${nested.blocksize}`,
      '"nested_dtype": "float32"',
      `"nested_offset": ${pythonFloat(nested.offset)}`,
    );
  }
  return Buffer.from(`{${entries.join(', ')}}`);
}

/** The most bytes `packQuantState` makes of a state, whatever its offset is. */
export function quantStateBytes(state: Omit<QuantState, 'nested'>, nestedBlocksize?: number): number {
  // Python writes a double in 24 characters at most: sign, 17 digits, point, and an exponent of five.
  const nested = nestedBlocksize && { blocksize: nestedBlocksize, offset: 0 };
  const slack = nested ? 24 - pythonFloat(0).length : 0;
  return packQuantState({ ...state, ...(nested && { nested }) }).length + slack;
}

/** Reads a state. Throws `bad-quant-state` (bad-file) naming the tensor. */
export function parseQuantState(bytes: Uint8Array, where: string): QuantState {
  const refuse = (expected: string, found: unknown) =>
    new CriaError(
      'bad-file',
      'bad-quant-state',
      `${where}: expected ${expected} in its quantization state, found ${quote(String(JSON.stringify(found)))}`,
    );
  const text = decodeUtf8(Buffer.from(bytes), 0, bytes.length);
  let json: unknown;
  try {
    if (text !== undefined && !findJsonFault(text, 3)) json = JSON.parse(text);
  } catch {
    // Refused below, with whatever else is no object.
  }
  if (typeof json !== 'object' || json === null) throw refuse('a JSON object', text?.slice(0, 40));
  const fields = json as Record<string, unknown>;
  const oneOf = <T>(name: string, known: readonly T[]): T => {
    const value = fields[name] as T;
    if (known.includes(value)) return value;
    throw refuse(`${name} of ${known.join(', ')}`, value);
  };
  const shape = fields.shape;
  const isShape =
    Array.isArray(shape) &&
    shape.length > 0 &&
    shape.length <= 4 &&
    shape.every((n) => Number.isSafeInteger(n) && n > 0) &&
    shape.reduce((a, b) => a * b, 1) <= Number.MAX_SAFE_INTEGER;
  if (!isShape) throw refuse('a shape', shape);
  const state: QuantState = {
    quantType: oneOf('quant_type', ['nf4', 'fp4'] as const),
    blocksize: oneOf('blocksize', BLOCKSIZES),
    dtype: oneOf('dtype', ['bfloat16', 'float16', 'float32'] as const),
    shape: shape as number[],
  };
  if (fields.nested_blocksize === undefined) return state;
  const offset = fields.nested_offset;
  if (typeof offset !== 'number') throw refuse('a number nested_offset', offset);
  oneOf('nested_dtype', ['float32'] as const);
  return { ...state, nested: { blocksize: oneOf('nested_blocksize', BLOCKSIZES), offset } };
}

/** A double as Python's `repr` has it: always with a point or an exponent, the latter below 0.0001 and from 1e16 on. */
function pythonFloat(value: number): string {
  if (value === 0) return '0.0';
  const magnitude = Math.abs(value);
  if (magnitude < 1e-4 || magnitude >= 1e16) {
    return value.toExponential().replace(/e([+-])(\d)$/, 'e$10$2');
  }
  return Number.isInteger(value) ? `${value}.0` : String(value);
}
