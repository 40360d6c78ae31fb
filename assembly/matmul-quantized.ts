import { madd, sumLanes } from './math';
import { unpack } from './unpack/index';

// Products of quantized rows with 8-bit activations (activations.ts). Integer sums inside a group are exact; groups
// are added in column order, so a result does not depend on which thread or tile computed it.
//
// Scratch of one call, for K columns (all offsets multiples of 16 because K is a multiple of 32):
//   0       i8[4][K]       codes of up to four rows
//   4K      f32[4][K/16]   scales
//   5K      f32[4][K/16]   minima
//   6K      i8[K/2][4][2]  panel: pairs of columns of four rows side by side
//   10K     f32[K/16][4]   scales of the panel
//   11K     f32[K/16][4]   minima of the panel

const ROWS: i32 = 4;

// @ts-ignore: decorator
@inline
function dot16(codes: usize, x: usize): v128 {
  const c = v128.load(codes);
  return i32x4.add(
    i32x4.dot_i16x8_s(i16x8.extend_low_i8x16_s(c), v128.load(x)),
    i32x4.dot_i16x8_s(i16x8.extend_high_i8x16_s(c), v128.load(x, 16)),
  );
}

/** One unpacked row times one token. */
function dotRow(
  codes: usize, scales: usize, mins: usize, columns: i32, group: i32,
  x: usize, xScales: usize, xSums: usize,
): f32 {
  let acc = f32x4.splat(0);
  let offset: f32 = 0;
  const groups32 = columns >> 5;
  if (group == 32) {
    for (let g: i32 = 0; g < groups32; g++) {
      const s = i32x4.add(dot16(codes, x), dot16(codes + 16, x + 32));
      acc = madd(f32x4.convert_i32x4_s(s), f32x4.splat(load<f32>(scales) * load<f32>(xScales)), acc);
      if (mins) {
        offset += load<f32>(mins) * (load<f32>(xSums) + load<f32>(xSums, 4));
        mins += 4;
      }
      codes += 32;
      x += 64;
      scales += 4;
      xScales += 4;
      xSums += 8;
    }
  } else {
    for (let g: i32 = 0; g < groups32; g++) {
      const xs = load<f32>(xScales);
      acc = madd(f32x4.convert_i32x4_s(dot16(codes, x)), f32x4.splat(load<f32>(scales) * xs), acc);
      acc = madd(f32x4.convert_i32x4_s(dot16(codes + 16, x + 32)), f32x4.splat(load<f32>(scales, 4) * xs), acc);
      if (mins) {
        offset += load<f32>(mins) * load<f32>(xSums) + load<f32>(mins, 4) * load<f32>(xSums, 4);
        mins += 8;
      }
      codes += 32;
      x += 64;
      scales += 8;
      xScales += 4;
      xSums += 8;
    }
  }
  return sumLanes(acc) - offset;
}

/** Codes of four rows, `columns` apart, to the panel layout. */
function interleave(codes: usize, panel: usize, columns: i32): void {
  const k = <usize>columns;
  for (let c: usize = 0; c < k; c += 16) {
    const r0 = v128.load(codes + c);
    const r1 = v128.load(codes + k + c);
    const r2 = v128.load(codes + 2 * k + c);
    const r3 = v128.load(codes + 3 * k + c);
    const low01 = v128.shuffle<i16>(r0, r1, 0, 8, 1, 9, 2, 10, 3, 11);
    const high01 = v128.shuffle<i16>(r0, r1, 4, 12, 5, 13, 6, 14, 7, 15);
    const low23 = v128.shuffle<i16>(r2, r3, 0, 8, 1, 9, 2, 10, 3, 11);
    const high23 = v128.shuffle<i16>(r2, r3, 4, 12, 5, 13, 6, 14, 7, 15);
    const out = panel + 4 * c;
    v128.store(out, v128.shuffle<i32>(low01, low23, 0, 4, 1, 5));
    v128.store(out, v128.shuffle<i32>(low01, low23, 2, 6, 3, 7), 16);
    v128.store(out, v128.shuffle<i32>(high01, high23, 0, 4, 1, 5), 32);
    v128.store(out, v128.shuffle<i32>(high01, high23, 2, 6, 3, 7), 48);
  }
}

/** f32[4][n] to f32[n][4]. */
function transposeRows(source: usize, target: usize, n: i32): void {
  const stride = <usize>n << 2;
  for (let i: usize = 0; i < stride; i += 4) {
    const out = target + 4 * i;
    store<f32>(out, load<f32>(source + i));
    store<f32>(out, load<f32>(source + stride + i), 4);
    store<f32>(out, load<f32>(source + 2 * stride + i), 8);
    store<f32>(out, load<f32>(source + 3 * stride + i), 12);
  }
}

// @ts-ignore: decorator
@inline
function storeSums(y: usize, value: v128, accumulate: bool): void {
  v128.store(y, accumulate ? f32x4.add(v128.load(y), value) : value);
}

/** A panel of four rows times four tokens. xStride: bytes between tokens' codes; g: groups per row. */
function panelTimes4(
  panel: usize, scales: usize, mins: usize, groups: i32, group: i32,
  x: usize, xStride: usize, xScales: usize, xScaleStride: usize, xSums: usize, xSumStride: usize,
  y: usize, yStride: usize, accumulate: bool,
): void {
  let f0 = f32x4.splat(0);
  let f1 = f0;
  let f2 = f0;
  let f3 = f0;
  const x1 = xStride;
  const x2 = xStride << 1;
  const x3 = xStride * 3;
  const groupShift: usize = group == 32 ? 0 : 1;
  const panelStep = <usize>group * 4;
  for (let g: usize = 0; g < <usize>groups; g++) {
    let i0 = i32x4.splat(0);
    let i1 = i0;
    let i2 = i0;
    let i3 = i0;
    for (const end = panel + panelStep; panel < end; panel += 32) {
      let w = v128.load_ext<i8>(panel);
      i0 = i32x4.add(i0, i32x4.dot_i16x8_s(w, v128.load_splat<i32>(x)));
      i1 = i32x4.add(i1, i32x4.dot_i16x8_s(w, v128.load_splat<i32>(x + x1)));
      i2 = i32x4.add(i2, i32x4.dot_i16x8_s(w, v128.load_splat<i32>(x + x2)));
      i3 = i32x4.add(i3, i32x4.dot_i16x8_s(w, v128.load_splat<i32>(x + x3)));
      w = v128.load_ext<i8>(panel, 8);
      i0 = i32x4.add(i0, i32x4.dot_i16x8_s(w, v128.load_splat<i32>(x, 4)));
      i1 = i32x4.add(i1, i32x4.dot_i16x8_s(w, v128.load_splat<i32>(x + x1, 4)));
      i2 = i32x4.add(i2, i32x4.dot_i16x8_s(w, v128.load_splat<i32>(x + x2, 4)));
      i3 = i32x4.add(i3, i32x4.dot_i16x8_s(w, v128.load_splat<i32>(x + x3, 4)));
      w = v128.load_ext<i8>(panel, 16);
      i0 = i32x4.add(i0, i32x4.dot_i16x8_s(w, v128.load_splat<i32>(x, 8)));
      i1 = i32x4.add(i1, i32x4.dot_i16x8_s(w, v128.load_splat<i32>(x + x1, 8)));
      i2 = i32x4.add(i2, i32x4.dot_i16x8_s(w, v128.load_splat<i32>(x + x2, 8)));
      i3 = i32x4.add(i3, i32x4.dot_i16x8_s(w, v128.load_splat<i32>(x + x3, 8)));
      w = v128.load_ext<i8>(panel, 24);
      i0 = i32x4.add(i0, i32x4.dot_i16x8_s(w, v128.load_splat<i32>(x, 12)));
      i1 = i32x4.add(i1, i32x4.dot_i16x8_s(w, v128.load_splat<i32>(x + x1, 12)));
      i2 = i32x4.add(i2, i32x4.dot_i16x8_s(w, v128.load_splat<i32>(x + x2, 12)));
      i3 = i32x4.add(i3, i32x4.dot_i16x8_s(w, v128.load_splat<i32>(x + x3, 12)));
      x += 16;
    }
    const s = v128.load(scales);
    const xs = xScales + ((g >> groupShift) << 2);
    f0 = madd(f32x4.convert_i32x4_s(i0), f32x4.mul(s, v128.load_splat<f32>(xs)), f0);
    f1 = madd(f32x4.convert_i32x4_s(i1), f32x4.mul(s, v128.load_splat<f32>(xs + xScaleStride)), f1);
    f2 = madd(f32x4.convert_i32x4_s(i2), f32x4.mul(s, v128.load_splat<f32>(xs + 2 * xScaleStride)), f2);
    f3 = madd(f32x4.convert_i32x4_s(i3), f32x4.mul(s, v128.load_splat<f32>(xs + 3 * xScaleStride)), f3);
    if (mins) {
      const m = f32x4.neg(v128.load(mins));
      if (group == 32) {
        const sums = xSums + (g << 3);
        f0 = madd(m, f32x4.splat(load<f32>(sums) + load<f32>(sums, 4)), f0);
        f1 = madd(m, f32x4.splat(load<f32>(sums + xSumStride) + load<f32>(sums + xSumStride, 4)), f1);
        f2 = madd(m, f32x4.splat(load<f32>(sums + 2 * xSumStride) + load<f32>(sums + 2 * xSumStride, 4)), f2);
        f3 = madd(m, f32x4.splat(load<f32>(sums + 3 * xSumStride) + load<f32>(sums + 3 * xSumStride, 4)), f3);
      } else {
        const sums = xSums + (g << 2);
        f0 = madd(m, v128.load_splat<f32>(sums), f0);
        f1 = madd(m, v128.load_splat<f32>(sums + xSumStride), f1);
        f2 = madd(m, v128.load_splat<f32>(sums + 2 * xSumStride), f2);
        f3 = madd(m, v128.load_splat<f32>(sums + 3 * xSumStride), f3);
      }
      mins += 16;
    }
    scales += 16;
  }
  storeSums(y, f0, accumulate);
  storeSums(y + yStride, f1, accumulate);
  storeSums(y + 2 * yStride, f2, accumulate);
  storeSums(y + 3 * yStride, f3, accumulate);
}

/**
 * y[t][r] (+)= Σ_k w[r][k] x[t][k] for `rows` consecutive rows and `tokens` tokens.
 * @param type ggml type number of the rows, which are `rowBytes` long and hold `blocks` blocks
 * @param group columns per scale in the unpacked form of the type (16 or 32); hasMins: it has minima too
 * @param x, xScales, xSums as quantizeActivations writes them, token after token
 * @param y f32, `yStride` bytes between tokens
 * @param scratch 12 × columns bytes
 */
export function matmulQuantized(
  type: i32, w: usize, rowBytes: usize, rows: i32, columns: i32, blocks: i32, group: i32, hasMins: bool,
  x: usize, xScales: usize, xSums: usize, tokens: i32,
  y: usize, yStride: usize, accumulate: bool, scratch: usize,
): void {
  const k = <usize>columns;
  const codes = scratch;
  const scales = scratch + 4 * k;
  const mins = scratch + 5 * k;
  const panel = scratch + 6 * k;
  const panelScales = scratch + 10 * k;
  const panelMins = scratch + 11 * k;
  const groups = columns / group;
  const groupBytes = <usize>groups << 2;
  const xStride = k << 1;
  const xScaleStride = k >> 3;
  const xSumStride = k >> 2;

  let row: i32 = 0;
  // Below four tokens, laying the rows out for the panel kernel costs more than it saves.
  if (tokens >= 4) {
    for (; row + ROWS <= rows; row += ROWS) {
      for (let r: usize = 0; r < <usize>ROWS; r++) {
        unpack(type, w, codes + r * k, scales + r * groupBytes, mins + r * groupBytes, blocks);
        w += rowBytes;
      }
      interleave(codes, panel, columns);
      transposeRows(scales, panelScales, groups);
      if (hasMins) transposeRows(mins, panelMins, groups);
      let t: i32 = 0;
      for (; t + 4 <= tokens; t += 4) {
        panelTimes4(
          panel, panelScales, hasMins ? panelMins : 0, groups, group,
          x + <usize>t * xStride, xStride, xScales + <usize>t * xScaleStride, xScaleStride,
          xSums + <usize>t * xSumStride, xSumStride,
          y + (<usize>row << 2) + <usize>t * yStride, yStride, accumulate,
        );
      }
      for (; t < tokens; t++) {
        for (let r: usize = 0; r < <usize>ROWS; r++) {
          const value = dotRow(
            codes + r * k, scales + r * groupBytes, hasMins ? mins + r * groupBytes : 0, columns, group,
            x + <usize>t * xStride, xScales + <usize>t * xScaleStride, xSums + <usize>t * xSumStride,
          );
          const out = y + ((<usize>row + r) << 2) + <usize>t * yStride;
          store<f32>(out, accumulate ? load<f32>(out) + value : value);
        }
      }
    }
  }
  for (; row < rows; row++) {
    unpack(type, w, codes, scales, mins, blocks);
    w += rowBytes;
    for (let t: i32 = 0; t < tokens; t++) {
      const value = dotRow(
        codes, scales, hasMins ? mins : 0, columns, group,
        x + <usize>t * xStride, xScales + <usize>t * xScaleStride, xSums + <usize>t * xSumStride,
      );
      const out = y + (<usize>row << 2) + <usize>t * yStride;
      store<f32>(out, accumulate ? load<f32>(out) + value : value);
    }
  }
}
