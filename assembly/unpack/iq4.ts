import { highNibbles, loadHalf, lookUp, lowNibbles, storeProducts8, zipNibbles } from './vectors';

// Layouts: src/quant/iq4.ts.

/** What the codes stand for. */
@inline
export function values(): v128 {
  return i8x16(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);
}

export function unpackIQ4_NL(source: usize, codes: usize, scales: usize, blocks: i32): void {
  const table = values();
  for (; blocks > 0; blocks--) {
    store<f32>(scales, loadHalf(source));
    const packed = v128.load(source, 2);
    v128.store(codes, lookUp(table, lowNibbles(packed)));
    v128.store(codes, lookUp(table, highNibbles(packed)), 16);
    source += 18;
    codes += 32;
    scales += 4;
  }
}

export function unpackIQ4_XS(source: usize, codes: usize, scales: usize, blocks: i32): void {
  const table = values();
  // Multiplying moves the two high bits of each scale to the top of a lane of its own.
  const toTop = i16x8(1 << 14, 1 << 12, 1 << 10, 1 << 8, 1 << 6, 1 << 4, 1 << 2, 1);
  for (; blocks > 0; blocks--) {
    const high = i16x8.shr_u(i16x8.mul(v128.load_splat<u16>(source, 2), toTop), 14);
    const low = i16x8.extend_low_i8x16_s(zipNibbles(v128.load_zero<u32>(source, 4)));
    const s = i16x8.sub(v128.or(low, i16x8.shl(high, 4)), i16x8.splat(32));
    storeProducts8(scales, s, loadHalf(source));
    source += 8;
    for (let group = 0; group < 8; group++) {
      const packed = v128.load(source);
      v128.store(codes, lookUp(table, lowNibbles(packed)));
      v128.store(codes, lookUp(table, highNibbles(packed)), 16);
      source += 16;
      codes += 32;
    }
    scales += 32;
  }
}
