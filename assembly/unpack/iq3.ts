import { IQ3S_ENTRIES, IQ3XXS_ENTRIES, SIGN_MASKS, tables } from './tables';
import { loadHalf, loadPair, negateWhere, odd8, spreadBits, storeProducts8, zipNibbles } from './vectors';

// Layouts: src/quant/iq3.ts. Codes are signed grid entries; scales are d/4 · (2s + 1) in IQ3_XXS, d · (2s + 1) in
// IQ3_S, both exact. Shifts and masks make byte offsets into tables of four (grids) or eight bytes per entry.

@inline
function loadFour(a: usize, b: usize, c: usize, d: usize): v128 {
  const ab = v128.load_lane<u32>(b, v128.load_zero<u32>(a), 1);
  return v128.load_lane<u32>(d, v128.load_lane<u32>(c, ab, 2), 3);
}

export function unpackIQ3_XXS(source: usize, codes: usize, scales: usize, blocks: i32): void {
  const grid = tables + IQ3XXS_ENTRIES;
  const masks = tables + SIGN_MASKS;
  for (; blocks > 0; blocks--) {
    const factor = loadHalf(source) * 0.25;
    for (let group: usize = 0; group < 8; group++) {
      const a = load<u32>(source + 8 * group, 2);
      const b = load<u32>(source + 8 * group, 6);
      const signs = load<u32>(source + 4 * group, 66);
      store<f32>(scales, <f32>(<i32>((signs >> 27) | 1)) * factor);
      const first = loadFour(
        grid + ((a << 2) & 0x3fc), grid + ((a >> 6) & 0x3fc),
        grid + ((a >> 14) & 0x3fc), grid + ((a >> 22) & 0x3fc),
      );
      const second = loadFour(
        grid + ((b << 2) & 0x3fc), grid + ((b >> 6) & 0x3fc),
        grid + ((b >> 14) & 0x3fc), grid + ((b >> 22) & 0x3fc),
      );
      const firstMask = loadPair(masks + ((signs << 3) & 0x3f8), masks + ((signs >> 4) & 0x3f8));
      const secondMask = loadPair(masks + ((signs >> 11) & 0x3f8), masks + ((signs >> 18) & 0x3f8));
      v128.store(codes, negateWhere(first, firstMask));
      v128.store(codes, negateWhere(second, secondMask), 16);
      codes += 32;
      scales += 4;
    }
    source += 98;
  }
}

export function unpackIQ3_S(source: usize, codes: usize, scales: usize, blocks: i32): void {
  const grid = tables + IQ3S_ENTRIES;
  for (; blocks > 0; blocks--) {
    const s = zipNibbles(v128.load_zero<u32>(source, 106));
    storeProducts8(scales, odd8(i16x8.extend_low_i8x16_s(s)), loadHalf(source));
    for (let group: usize = 0; group < 8; group++) {
      const a = load<u32>(source + 8 * group, 2);
      const b = load<u32>(source + 8 * group, 6);
      const high = <u32>load<u8>(source + group, 66);
      const signs = v128.load_splat<u32>(source + 4 * group, 74);
      const first = loadFour(
        grid + (((a << 2) & 0x3fc) | ((high << 10) & 0x400)),
        grid + (((a >> 6) & 0x3fc) | ((high << 9) & 0x400)),
        grid + (((a >> 14) & 0x3fc) | ((high << 8) & 0x400)),
        grid + (((a >> 22) & 0x3fc) | ((high << 7) & 0x400)),
      );
      const second = loadFour(
        grid + (((b << 2) & 0x3fc) | ((high << 6) & 0x400)),
        grid + (((b >> 6) & 0x3fc) | ((high << 5) & 0x400)),
        grid + (((b >> 14) & 0x3fc) | ((high << 4) & 0x400)),
        grid + (((b >> 22) & 0x3fc) | ((high << 3) & 0x400)),
      );
      v128.store(codes, negateWhere(first, spreadBits(signs, 0)));
      v128.store(codes, negateWhere(second, spreadBits(signs, 2)), 16);
      codes += 32;
    }
    source += 110;
    scales += 32;
  }
}
