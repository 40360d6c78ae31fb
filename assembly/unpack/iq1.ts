import { IQ1S_ENTRIES, tables } from './tables';
import { half, loadHalf, loadPair, odd8, storeProducts8 } from './vectors';

// Layouts: src/quant/iq1.ts. weight = d · (2s + 1) · (value ± ⅛): codes are 8 · value ± 1 (the table holds the
// values times 8), scales d/8 · (2s + 1); both steps are exact.

export function unpackIQ1_S(source: usize, codes: usize, scales: usize, blocks: i32): void {
  const grid = tables + IQ1S_ENTRIES;
  for (; blocks > 0; blocks--) {
    const words = v128.load(source, 34);
    const s = v128.and(i16x8.shr_u(words, 12), i16x8.splat(7));
    storeProducts8(scales, odd8(s), loadHalf(source) * 0.125);
    for (let group: usize = 0; group < 8; group++) {
      // Byte offsets into the table: eight bytes per entry, the low eight bits of its number from `low`, three
      // from `word`.
      const low = load<u32>(source + 4 * group, 2);
      const word = <u32>load<u16>(source + 2 * group, 34);
      const shift = i8x16.splat(<i8>(1 - ((word >> 14) & 2)));
      const first = loadPair(
        grid + (((low << 3) & 0x7f8) | ((word << 11) & 0x3800)),
        grid + (((low >> 5) & 0x7f8) | ((word << 8) & 0x3800)),
      );
      const second = loadPair(
        grid + (((low >> 13) & 0x7f8) | ((word << 5) & 0x3800)),
        grid + (((low >> 21) & 0x7f8) | ((word << 2) & 0x3800)),
      );
      v128.store(codes, i8x16.add(first, shift));
      v128.store(codes, i8x16.add(second, shift), 16);
      codes += 32;
    }
    source += 50;
    scales += 32;
  }
}

/** −1 or 1: bit 3 of `high` decides for the first eight weights, bit 7 for the others. */
@inline
function shifts(high: u32): v128 {
  const bitOfLane = i8x16(8, 8, 8, 8, 8, 8, 8, 8, -128, -128, -128, -128, -128, -128, -128, -128);
  const negative = i8x16.eq(v128.and(i8x16.splat(<i8>high), bitOfLane), bitOfLane);
  return v128.or(negative, i8x16.splat(1));
}

export function unpackIQ1_M(source: usize, codes: usize, scales: usize, blocks: i32): void {
  const grid = tables + IQ1S_ENTRIES;
  // Multiplying moves each 3-bit scale of a word to the top of a lane of its own.
  const toTop = i16x8(1 << 13, 1 << 10, 1 << 7, 1 << 4, 1 << 13, 1 << 10, 1 << 7, 1 << 4);
  for (; blocks > 0; blocks--) {
    const packed = load<u64>(source, 48);
    const d = half(
      <u32>(
        ((packed >> 12) & 0xf) | ((packed >> 24) & 0xf0) | ((packed >> 36) & 0xf00) | ((packed >> 48) & 0xf000)
      ),
    );
    const words = v128.load_zero<u64>(source, 48);
    const first8 = v128.shuffle<u16>(words, words, 0, 0, 0, 0, 1, 1, 1, 1);
    const last8 = v128.shuffle<u16>(words, words, 2, 2, 2, 2, 3, 3, 3, 3);
    storeProducts8(scales, odd8(i16x8.shr_u(i16x8.mul(first8, toTop), 13)), d * 0.125);
    storeProducts8(scales + 32, odd8(i16x8.shr_u(i16x8.mul(last8, toTop), 13)), d * 0.125);
    for (let group: usize = 0; group < 8; group++) {
      const low = load<u32>(source + 4 * group);
      const high = <u32>load<u16>(source + 2 * group, 32);
      const first = loadPair(
        grid + (((low << 3) & 0x7f8) | ((high << 11) & 0x3800)),
        grid + (((low >> 5) & 0x7f8) | ((high << 7) & 0x3800)),
      );
      const second = loadPair(
        grid + (((low >> 13) & 0x7f8) | ((high << 3) & 0x3800)),
        grid + (((low >> 21) & 0x7f8) | ((high >> 1) & 0x3800)),
      );
      v128.store(codes, i8x16.add(first, shifts(high)));
      v128.store(codes, i8x16.add(second, shifts(high >> 8)), 16);
      codes += 32;
    }
    source += 56;
    scales += 64;
  }
}
