import { unpackBF16, unpackF16 } from './float';
import { unpackMXFP4, unpackNVFP4 } from './fp4';
import { unpackIQ1_M, unpackIQ1_S } from './iq1';
import { unpackIQ2_S, unpackIQ2_XS, unpackIQ2_XXS } from './iq2';
import { unpackIQ3_S, unpackIQ3_XXS } from './iq3';
import { unpackIQ4_NL, unpackIQ4_XS } from './iq4';
import { unpackQ2_K, unpackQ3_K, unpackQ4_K, unpackQ5_K, unpackQ6_K } from './k-quants';
import { unpackQ4_0, unpackQ4_1, unpackQ5_0, unpackQ5_1, unpackQ8_0 } from './legacy';
import { unpackQ1_0, unpackQ2_0 } from './low-bit';
import { unpackTQ1_0, unpackTQ2_0 } from './ternary';

export { setTables } from './tables';

/**
 * Decodes `blocks` consecutive blocks of a quantized type into integers and floats such that
 * weight = scale × code − min, calculated in floats, has exactly the bits that ggml decodes (of a NaN, only that it
 * is one).
 *
 * @param type number of the type in GGUF files; not one of the float types
 * @param source blocks as in the file, any alignment
 * @param codes i8[weights]
 * @param scales f32[weights / group], the group being `unpackedGroup(type)` of src/quant/unpacked-layout.ts
 * @param mins f32[weights / group]; not written for types without offsets (`hasMins`)
 */
export function unpack(type: i32, source: usize, codes: usize, scales: usize, mins: usize, blocks: i32): void {
  switch (type) {
    case 2: return unpackQ4_0(source, codes, scales, blocks);
    case 3: return unpackQ4_1(source, codes, scales, mins, blocks);
    case 6: return unpackQ5_0(source, codes, scales, blocks);
    case 7: return unpackQ5_1(source, codes, scales, mins, blocks);
    case 8: return unpackQ8_0(source, codes, scales, blocks);
    case 10: return unpackQ2_K(source, codes, scales, mins, blocks);
    case 11: return unpackQ3_K(source, codes, scales, blocks);
    case 12: return unpackQ4_K(source, codes, scales, mins, blocks);
    case 13: return unpackQ5_K(source, codes, scales, mins, blocks);
    case 14: return unpackQ6_K(source, codes, scales, blocks);
    case 16: return unpackIQ2_XXS(source, codes, scales, blocks);
    case 17: return unpackIQ2_XS(source, codes, scales, blocks);
    case 18: return unpackIQ3_XXS(source, codes, scales, blocks);
    case 19: return unpackIQ1_S(source, codes, scales, blocks);
    case 20: return unpackIQ4_NL(source, codes, scales, blocks);
    case 21: return unpackIQ3_S(source, codes, scales, blocks);
    case 22: return unpackIQ2_S(source, codes, scales, blocks);
    case 23: return unpackIQ4_XS(source, codes, scales, blocks);
    case 29: return unpackIQ1_M(source, codes, scales, blocks);
    case 34: return unpackTQ1_0(source, codes, scales, blocks);
    case 35: return unpackTQ2_0(source, codes, scales, blocks);
    case 39: return unpackMXFP4(source, codes, scales, blocks);
    case 40: return unpackNVFP4(source, codes, scales, blocks);
    case 41: return unpackQ1_0(source, codes, scales, blocks);
    case 42: return unpackQ2_0(source, codes, scales, blocks);
    default: unreachable();
  }
}

/**
 * Decodes `count` weights of a float type to floats, bit by bit (a NaN keeps its payload).
 *
 * @param type number of the type in GGUF files: F32, F16 or BF16
 * @param target f32[count]
 */
export function unpackFloat(type: i32, source: usize, target: usize, count: i32): void {
  switch (type) {
    case 0: return memory.copy(target, source, <usize>count << 2);
    case 1: return unpackF16(source, target, count);
    case 30: return unpackBF16(source, target, count);
    default: unreachable();
  }
}
