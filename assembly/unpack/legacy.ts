import { highNibbles, loadHalf, lowNibbles, spreadBits } from './vectors';

// Layouts: src/quant/legacy.ts.

export function unpackQ4_0(source: usize, codes: usize, scales: usize, blocks: i32): void {
  const eight = i8x16.splat(8);
  for (; blocks > 0; blocks--) {
    store<f32>(scales, loadHalf(source));
    const packed = v128.load(source, 2);
    v128.store(codes, i8x16.sub(lowNibbles(packed), eight));
    v128.store(codes, i8x16.sub(highNibbles(packed), eight), 16);
    source += 18;
    codes += 32;
    scales += 4;
  }
}

export function unpackQ4_1(source: usize, codes: usize, scales: usize, mins: usize, blocks: i32): void {
  for (; blocks > 0; blocks--) {
    store<f32>(scales, loadHalf(source));
    store<f32>(mins, -loadHalf(source + 2));
    const packed = v128.load(source, 4);
    v128.store(codes, lowNibbles(packed));
    v128.store(codes, highNibbles(packed), 16);
    source += 20;
    codes += 32;
    scales += 4;
    mins += 4;
  }
}

export function unpackQ5_0(source: usize, codes: usize, scales: usize, blocks: i32): void {
  // A code without its fifth bit is 16 lower, which sets the upper half of a byte below 16.
  const upper = i8x16.splat(<i8>0xf0);
  for (; blocks > 0; blocks--) {
    store<f32>(scales, loadHalf(source));
    const fifth = v128.load_splat<u32>(source, 2);
    const packed = v128.load(source, 6);
    v128.store(codes, v128.or(lowNibbles(packed), v128.andnot(upper, spreadBits(fifth, 0))));
    v128.store(codes, v128.or(highNibbles(packed), v128.andnot(upper, spreadBits(fifth, 2))), 16);
    source += 22;
    codes += 32;
    scales += 4;
  }
}

export function unpackQ5_1(source: usize, codes: usize, scales: usize, mins: usize, blocks: i32): void {
  const sixteen = i8x16.splat(16);
  for (; blocks > 0; blocks--) {
    store<f32>(scales, loadHalf(source));
    store<f32>(mins, -loadHalf(source + 2));
    const fifth = v128.load_splat<u32>(source, 4);
    const packed = v128.load(source, 8);
    v128.store(codes, v128.or(lowNibbles(packed), v128.and(spreadBits(fifth, 0), sixteen)));
    v128.store(codes, v128.or(highNibbles(packed), v128.and(spreadBits(fifth, 2), sixteen)), 16);
    source += 24;
    codes += 32;
    scales += 4;
    mins += 4;
  }
}

export function unpackQ8_0(source: usize, codes: usize, scales: usize, blocks: i32): void {
  for (; blocks > 0; blocks--) {
    store<f32>(scales, loadHalf(source));
    v128.store(codes, v128.load(source, 2));
    v128.store(codes, v128.load(source, 18), 16);
    source += 34;
    codes += 32;
    scales += 4;
  }
}
