/** Little-endian 16-bit word at `source[at]`. */
export function readU16(source: Uint8Array, at: number): number {
  return source[at]! | (source[at + 1]! << 8);
}

/** Little-endian 32-bit word at `source[at]`, as a signed number: shift it with `>>>`. */
export function readU32(source: Uint8Array, at: number): number {
  return readU16(source, at) | (readU16(source, at + 2) << 16);
}
