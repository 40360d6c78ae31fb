import { ROUNDER, madd, nmadd } from '../math';

// e^x by the steps of math.ts, with its constants in globals that are written before a loop: V8 loads those, and would
// build constants anew in every round.

let highest = f32x4.splat(0);
let lowest = f32x4.splat(0);
let log2e = f32x4.splat(0);
let rounder = f32x4.splat(0);
let ln2High = f32x4.splat(0);
let ln2Low = f32x4.splat(0);
let c0 = f32x4.splat(0);
let c1 = f32x4.splat(0);
let c2 = f32x4.splat(0);
let c3 = f32x4.splat(0);
let c4 = f32x4.splat(0);
let c5 = f32x4.splat(0);
let one = f32x4.splat(0);

/** To be called before any loop over the functions below. */
export function prepareExp(): void {
  highest = f32x4.splat(88.0);
  lowest = f32x4.splat(-87.0);
  log2e = f32x4.splat(1.44269504088896341);
  rounder = f32x4.splat(ROUNDER);
  ln2High = f32x4.splat(0.693359375);
  ln2Low = f32x4.splat(-2.12194440e-4);
  c0 = f32x4.splat(1.9875691500e-4);
  c1 = f32x4.splat(1.3981999507e-3);
  c2 = f32x4.splat(8.3334519073e-3);
  c3 = f32x4.splat(4.1665795894e-2);
  c4 = f32x4.splat(1.6666665459e-1);
  c5 = f32x4.splat(5.0000001201e-1);
  one = f32x4.splat(1);
}

/** e^x of four x ⩽ 88, relative error below 3e-7; below −87 as of −87, 1.6e-38. */
@inline
export function expOf4(x: v128): v128 {
  const above = f32x4.pmax(x, lowest);
  const t = madd(above, log2e, rounder);
  const n = f32x4.sub(t, rounder);
  const r = nmadd(n, ln2Low, nmadd(n, ln2High, above));
  const p = madd(madd(madd(madd(madd(c0, r, c1), r, c2), r, c3), r, c4), r, c5);
  return i32x4.add(madd(madd(p, r, one), r, one), i32x4.shl(t, 23));
}

/** 1 / (1 + e^−x) of four numbers. */
@inline
export function sigmoidOf4(x: v128): v128 {
  return f32x4.div(one, f32x4.add(one, expOf4(f32x4.pmin(f32x4.neg(x), highest))));
}
