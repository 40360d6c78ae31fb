// Codes of weights in bytes.

/** Codes 2 bits wide, u8[256]: four at a distance of 32 share a byte. */
export function packTwoBits(codes: usize, target: usize): void {
  for (let half: usize = 0; half < 2; half++) {
    for (let at: usize = 0; at < 32; at += 16) {
      const from = codes + 128 * half + at;
      const low = v128.or(v128.load(from), i8x16.shl(v128.load(from, 32), 2));
      const high = v128.or(i8x16.shl(v128.load(from, 64), 4), i8x16.shl(v128.load(from, 96), 6));
      v128.store(target + 32 * half + at, v128.or(low, high));
    }
  }
}

/** The low four bits of `bytes` codes and of those `bytes` further on; a multiple of 16. */
export function packFourBits(codes: usize, bytes: usize, target: usize): void {
  const mask = i8x16.splat(15);
  for (let at: usize = 0; at < bytes; at += 16) {
    const low = v128.and(v128.load(codes + at), mask);
    v128.store(target + at, v128.or(low, i8x16.shl(v128.load(codes + at + bytes), 4)));
  }
}

/** Bit 4 of 32 codes. */
export function fifthBits(codes: usize): u32 {
  const low = i8x16.bitmask(i8x16.shl(v128.load(codes), 3));
  return <u32>(low | (i8x16.bitmask(i8x16.shl(v128.load(codes, 16), 3)) << 16));
}
