import { E8M0_HALVES, tables, UE4M3_HALVES } from './tables';
import { highNibbles, lookUp, lowNibbles } from './vectors';

// Layouts: src/quant/fp4.ts.

/** Twice the values of the E2M1 codes. */
@inline
function doubledValues(): v128 {
  return i8x16(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);
}

export function unpackMXFP4(source: usize, codes: usize, scales: usize, blocks: i32): void {
  const table = doubledValues();
  const halves = tables + E8M0_HALVES;
  for (; blocks > 0; blocks--) {
    store<f32>(scales, load<f32>(halves + (<usize>load<u8>(source) << 2)));
    const packed = v128.load(source, 1);
    v128.store(codes, lookUp(table, lowNibbles(packed)));
    v128.store(codes, lookUp(table, highNibbles(packed)), 16);
    source += 17;
    codes += 32;
    scales += 4;
  }
}

export function unpackNVFP4(source: usize, codes: usize, scales: usize, blocks: i32): void {
  const table = doubledValues();
  const halves = tables + UE4M3_HALVES;
  for (; blocks > 0; blocks--) {
    for (let pair: usize = 0; pair < 2; pair++) {
      store<f32>(scales, load<f32>(halves + (<usize>load<u8>(source + 2 * pair) << 2)));
      store<f32>(scales, load<f32>(halves + (<usize>load<u8>(source + 2 * pair, 1) << 2)), 4);
      const packed = v128.load(source + 16 * pair, 4);
      const low = lookUp(table, lowNibbles(packed));
      const high = lookUp(table, highNibbles(packed));
      v128.store(codes, v128.shuffle<u64>(low, high, 0, 2));
      v128.store(codes, v128.shuffle<u64>(low, high, 1, 3), 16);
      codes += 32;
      scales += 8;
    }
    source += 36;
  }
}
