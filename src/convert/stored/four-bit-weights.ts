import {
  FOUR_BIT_SUFFIXES,
  MAX_QUANT_STATE_BYTES,
  parseQuantState,
  type QuantState,
} from '../../formats/bitsandbytes/index.js';
import type { SafetensorsFile } from '../../formats/safetensors/index.js';
import { decodeFourBit } from '../../quant/bitsandbytes-four-bit.js';
import { unnestScales } from '../../quant/bitsandbytes-scales.js';
import type { QuantizedWeight } from './quantized-weight.js';
import { badPart, partOf, readFloats } from './stored-parts.js';

const TYPES = { bfloat16: 'BF16', float16: 'F16', float32: 'F32' } as const;

/** The 4-bit weights of bitsandbytes in a checkpoint. Throws `bad-quant-state`, `bad-quantized-tensor`. */
export async function fourBitWeights(file: SafetensorsFile): Promise<QuantizedWeight[]> {
  const weights: QuantizedWeight[] = [];
  for (const stateName of file.tensors.keys()) {
    const end = stateName.indexOf(FOUR_BIT_SUFFIXES.state);
    if (end < 0) continue;
    weights.push(await fourBitWeight(file, stateName.slice(0, end), stateName));
  }
  return weights;
}

async function fourBitWeight(
  file: SafetensorsFile,
  name: string,
  stateName: string,
): Promise<QuantizedWeight> {
  const stateBytes = file.tensors.get(stateName)!.bytes;
  if (stateBytes > MAX_QUANT_STATE_BYTES) {
    throw badPart(file, stateName, `at most ${MAX_QUANT_STATE_BYTES} bytes`, String(stateBytes));
  }
  const bytes = new Uint8Array(stateBytes);
  await file.read(stateName, 0, bytes);
  const state = parseQuantState(bytes, `'${file.path}' ${stateName}`);
  const { blocksize, nested, shape } = state;
  const count = shape.reduce((a, b) => a * b, 1);
  const blocks = Math.ceil(count / blocksize);

  // Any dtype (`bnb_4bit_quant_storage`): it only says how torch views the same bytes.
  const codesBytes = file.tensors.get(name)?.bytes;
  if (codesBytes !== Math.ceil(count / 2)) {
    const expected = `${Math.ceil(count / 2)} bytes for ${shape.join(' × ')} weights`;
    throw badPart(file, name, expected, codesBytes === undefined ? 'none' : `${codesBytes}`);
  }
  const { absmax, values, nestedAbsmax, nestedValues } = FOUR_BIT_SUFFIXES;
  const names = {
    state: stateName,
    absmax: name + absmax,
    values: name + values,
    ...(nested && { nestedAbsmax: name + nestedAbsmax, nestedValues: name + nestedValues }),
  };
  partOf(file, names.absmax, [nested ? 'U8' : 'F32'], blocks);
  partOf(file, names.values, ['F32'], 16);
  if (nested) {
    partOf(file, name + nestedAbsmax, ['F32'], Math.ceil(blocks / nested.blocksize));
    partOf(file, name + nestedValues, ['F32'], 256);
  }
  return {
    name,
    shape,
    type: TYPES[state.dtype],
    scaled: false,
    storedAs: [name, ...Object.values(names)],
    decode: (first, target) => decode(file, name, state, first, target),
  };
}

async function decode(
  file: SafetensorsFile,
  name: string,
  { blocksize, nested }: QuantState,
  first: number,
  target: Float32Array,
): Promise<void> {
  if (target.length === 0) return;
  const end = first + target.length;
  const firstByte = Math.floor(first / 2);
  const codes = new Uint8Array(Math.ceil(end / 2) - firstByte);
  await file.read(name, firstByte, codes);
  const firstBlock = Math.floor(first / blocksize);
  const scales = await readScales(file, name, nested, firstBlock, Math.ceil(end / blocksize));
  const values = await readFloats(file, name + FOUR_BIT_SUFFIXES.values, 0, 16);
  decodeFourBit({ first, block: blocksize, values }, codes, scales, target);
}

/** Scales of blocks `[first, end)`. */
async function readScales(
  file: SafetensorsFile,
  name: string,
  nested: QuantState['nested'],
  first: number,
  end: number,
): Promise<Float32Array> {
  const { absmax, nestedAbsmax, nestedValues } = FOUR_BIT_SUFFIXES;
  if (!nested) return readFloats(file, name + absmax, first, end - first);
  const codes = new Uint8Array(end - first);
  await file.read(name + absmax, first, codes);
  const { blocksize, offset } = nested;
  const from = Math.floor(first / blocksize);
  const scales = await readFloats(file, name + nestedAbsmax, from, Math.ceil(end / blocksize) - from);
  const values = await readFloats(file, name + nestedValues, 0, 256);
  const target = new Float32Array(codes.length);
  unnestScales(first, codes, { scales, values, offset: Math.fround(offset) }, target, blocksize);
  return target;
}
