/** Element types of safetensors, spelled as in the file. */
export type SafetensorsDtype = (typeof NAMES)[number];

// Names, sizes and their order from github.com/huggingface/safetensors (safetensors/src/tensor.rs, enum Dtype). The
// order is that of increasing alignment: the writer sorts tensors by it, backwards, so that each stays aligned.
const NAMES = [
  'BOOL',
  'F4',
  'F6_E2M3',
  'F6_E3M2',
  'U8',
  'I8',
  'F8_E5M2',
  'F8_E4M3',
  'F8_E8M0',
  'F8_E4M3FNUZ',
  'F8_E5M2FNUZ',
  'I16',
  'U16',
  'F16',
  'BF16',
  'I32',
  'U32',
  'F32',
  'C64',
  'F64',
  'I64',
  'U64',
] as const;

const OTHER_BITS: Readonly<Record<string, number>> = {
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
};

export const SAFETENSORS_DTYPES: readonly SafetensorsDtype[] = NAMES;

export function isSafetensorsDtype(name: unknown): name is SafetensorsDtype {
  return (NAMES as readonly unknown[]).includes(name);
}

/** Position in the order of alignment. */
export function dtypeRank(dtype: SafetensorsDtype): number {
  return NAMES.indexOf(dtype);
}

export function dtypeBits(dtype: SafetensorsDtype): number {
  return OTHER_BITS[dtype] ?? 8;
}

/** Bytes of a tensor; not an integer when its elements do not fill whole bytes, unsafe when too large. */
export function tensorBytes(dtype: SafetensorsDtype, shape: readonly number[]): number {
  let elements = 1;
  for (const n of shape) elements *= n;
  // Times bits before the division by 8: both are exact for safe integers, unlike bits / 8 of 6-bit types.
  return (elements * dtypeBits(dtype)) / 8;
}
