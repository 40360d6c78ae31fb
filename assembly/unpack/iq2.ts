import { IQ2S_ENTRIES, IQ2XS_ENTRIES, IQ2XXS_ENTRIES, SIGN_MASKS, tables } from './tables';
import { loadHalf, loadPair, negateWhere, odd16, spreadBits, storeProducts16, zipNibbles } from './vectors';

// Layouts: src/quant/iq2.ts. weight = d · (s + ½) / 4 · code: codes are signed grid entries, scales
// d/8 · (2s + 1), which is exact. Shifts and masks make byte offsets into tables of eight bytes per entry.

export function unpackIQ2_XXS(source: usize, codes: usize, scales: usize, blocks: i32): void {
  const grid = tables + IQ2XXS_ENTRIES;
  const masks = tables + SIGN_MASKS;
  for (; blocks > 0; blocks--) {
    const factor = loadHalf(source) * 0.125;
    source += 2;
    for (let group = 0; group < 8; group++) {
      const entries = load<u32>(source);
      const signs = load<u32>(source, 4);
      store<f32>(scales, <f32>(<i32>((signs >> 27) | 1)) * factor);
      const first = loadPair(grid + ((entries << 3) & 0x7f8), grid + ((entries >> 5) & 0x7f8));
      const second = loadPair(grid + ((entries >> 13) & 0x7f8), grid + ((entries >> 21) & 0x7f8));
      const firstMask = loadPair(masks + ((signs << 3) & 0x3f8), masks + ((signs >> 4) & 0x3f8));
      const secondMask = loadPair(masks + ((signs >> 11) & 0x3f8), masks + ((signs >> 18) & 0x3f8));
      v128.store(codes, negateWhere(first, firstMask));
      v128.store(codes, negateWhere(second, secondMask), 16);
      source += 8;
      codes += 32;
      scales += 4;
    }
  }
}

export function unpackIQ2_XS(source: usize, codes: usize, scales: usize, blocks: i32): void {
  const grid = tables + IQ2XS_ENTRIES;
  const masks = tables + SIGN_MASKS;
  for (; blocks > 0; blocks--) {
    const s = zipNibbles(v128.load_zero<u64>(source, 66));
    storeProducts16(scales, odd16(s), loadHalf(source) * 0.125);
    source += 2;
    for (let group = 0; group < 16; group++) {
      const words = load<u32>(source);
      const magnitudes = loadPair(grid + ((words << 3) & 0xff8), grid + ((words >> 13) & 0xff8));
      const mask = loadPair(masks + ((words >> 6) & 0x3f8), masks + ((words >> 22) & 0x3f8));
      v128.store(codes, negateWhere(magnitudes, mask));
      source += 4;
      codes += 16;
    }
    source += 8;
    scales += 64;
  }
}

export function unpackIQ2_S(source: usize, codes: usize, scales: usize, blocks: i32): void {
  const grid = tables + IQ2S_ENTRIES;
  for (; blocks > 0; blocks--) {
    const s = zipNibbles(v128.load_zero<u64>(source, 74));
    storeProducts16(scales, odd16(s), loadHalf(source) * 0.125);
    for (let group: usize = 0; group < 8; group++) {
      const low = load<u32>(source + 4 * group, 2);
      const high = <u32>load<u8>(source + group, 66);
      const signs = v128.load_splat<u32>(source + 4 * group, 34);
      const first = loadPair(
        grid + (((low << 3) & 0x7f8) | ((high << 11) & 0x1800)),
        grid + (((low >> 5) & 0x7f8) | ((high << 9) & 0x1800)),
      );
      const second = loadPair(
        grid + (((low >> 13) & 0x7f8) | ((high << 7) & 0x1800)),
        grid + (((low >> 21) & 0x7f8) | ((high << 5) & 0x1800)),
      );
      v128.store(codes, negateWhere(first, spreadBits(signs, 0)));
      v128.store(codes, negateWhere(second, spreadBits(signs, 2)), 16);
      codes += 32;
    }
    source += 82;
    scales += 64;
  }
}
