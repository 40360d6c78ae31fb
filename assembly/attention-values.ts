import { FIVE, KEYS } from './attention-scores';
import { loadFour } from './cache';
import { madd } from './math';

// sums[r] = sums[r] × factors[r] + Σ_j weights[r][j] v[j], keys in order. Weights are f32[rows][KEYS]. Values are
// floats (T f32) or halves (T i16).

/** Eight columns of five rows. */
function addFive8<T>(
  weights: usize, v: usize, valueBytes: usize, count: i32, sums: usize, rowBytes: usize, factors: usize,
): void {
  const s1 = sums + rowBytes;
  const s2 = s1 + rowBytes;
  const s3 = s2 + rowBytes;
  const s4 = s3 + rowBytes;
  let f = v128.load_splat<f32>(factors);
  let a0 = f32x4.mul(f, v128.load(sums));
  let b0 = f32x4.mul(f, v128.load(sums, 16));
  f = v128.load_splat<f32>(factors, 4);
  let a1 = f32x4.mul(f, v128.load(s1));
  let b1 = f32x4.mul(f, v128.load(s1, 16));
  f = v128.load_splat<f32>(factors, 8);
  let a2 = f32x4.mul(f, v128.load(s2));
  let b2 = f32x4.mul(f, v128.load(s2, 16));
  f = v128.load_splat<f32>(factors, 12);
  let a3 = f32x4.mul(f, v128.load(s3));
  let b3 = f32x4.mul(f, v128.load(s3, 16));
  f = v128.load_splat<f32>(factors, 16);
  let a4 = f32x4.mul(f, v128.load(s4));
  let b4 = f32x4.mul(f, v128.load(s4, 16));
  for (const end = weights + (<usize>count << 2); weights < end; weights += 4) {
    const a = loadFour<T>(v, 0);
    const b = loadFour<T>(v, 4);
    let w = v128.load_splat<f32>(weights);
    a0 = madd(w, a, a0);
    b0 = madd(w, b, b0);
    w = v128.load_splat<f32>(weights, 4 * KEYS);
    a1 = madd(w, a, a1);
    b1 = madd(w, b, b1);
    w = v128.load_splat<f32>(weights, 8 * KEYS);
    a2 = madd(w, a, a2);
    b2 = madd(w, b, b2);
    w = v128.load_splat<f32>(weights, 12 * KEYS);
    a3 = madd(w, a, a3);
    b3 = madd(w, b, b3);
    w = v128.load_splat<f32>(weights, 16 * KEYS);
    a4 = madd(w, a, a4);
    b4 = madd(w, b, b4);
    v += valueBytes;
  }
  v128.store(sums, a0);
  v128.store(sums, b0, 16);
  v128.store(s1, a1);
  v128.store(s1, b1, 16);
  v128.store(s2, a2);
  v128.store(s2, b2, 16);
  v128.store(s3, a3);
  v128.store(s3, b3, 16);
  v128.store(s4, a4);
  v128.store(s4, b4, 16);
}

/** Thirty-two columns of one row. */
function addOne32(weights: usize, v: usize, valueBytes: usize, count: i32, sums: usize, factor: usize): void {
  const f = v128.load_splat<f32>(factor);
  let a = f32x4.mul(f, v128.load(sums));
  let b = f32x4.mul(f, v128.load(sums, 16));
  let c = f32x4.mul(f, v128.load(sums, 32));
  let d = f32x4.mul(f, v128.load(sums, 48));
  let e = f32x4.mul(f, v128.load(sums, 64));
  let g = f32x4.mul(f, v128.load(sums, 80));
  let h = f32x4.mul(f, v128.load(sums, 96));
  let i = f32x4.mul(f, v128.load(sums, 112));
  for (const end = weights + (<usize>count << 2); weights < end; weights += 4) {
    const w = v128.load_splat<f32>(weights);
    a = madd(w, v128.load(v), a);
    b = madd(w, v128.load(v, 16), b);
    c = madd(w, v128.load(v, 32), c);
    d = madd(w, v128.load(v, 48), d);
    e = madd(w, v128.load(v, 64), e);
    g = madd(w, v128.load(v, 80), g);
    h = madd(w, v128.load(v, 96), h);
    i = madd(w, v128.load(v, 112), i);
    v += valueBytes;
  }
  v128.store(sums, a);
  v128.store(sums, b, 16);
  v128.store(sums, c, 32);
  v128.store(sums, d, 48);
  v128.store(sums, e, 64);
  v128.store(sums, g, 80);
  v128.store(sums, h, 96);
  v128.store(sums, i, 112);
}

/** Four columns of one row. */
function addOne4<T>(weights: usize, v: usize, valueBytes: usize, count: i32, sums: usize, factor: usize): void {
  let a = f32x4.mul(v128.load_splat<f32>(factor), v128.load(sums));
  for (const end = weights + (<usize>count << 2); weights < end; weights += 4) {
    a = madd(v128.load_splat<f32>(weights), loadFour<T>(v, 0), a);
    v += valueBytes;
  }
  v128.store(sums, a);
}

/** Adds `count` values, `valueBytes` long and apart, to the sums of five rows, `rowBytes` apart. */
export function addFive<T>(
  weights: usize, v: usize, valueBytes: usize, count: i32, sums: usize, rowBytes: usize, factors: usize,
): void {
  const eight = <usize>8 * sizeof<T>();
  const end = v + valueBytes;
  for (; v + eight <= end; v += eight) {
    addFive8<T>(weights, v, valueBytes, count, sums, rowBytes, factors);
    sums += 32;
  }
  for (; v < end; v += eight >> 1) {
    for (let r: usize = 0; r < <usize>FIVE; r++) {
      addOne4<T>(weights + r * 4 * KEYS, v, valueBytes, count, sums + r * rowBytes, factors + r * 4);
    }
    sums += 16;
  }
}

/** The same for one row, of floats. */
export function addOne(weights: usize, v: usize, valueBytes: usize, count: i32, sums: usize, factor: usize): void {
  const end = v + valueBytes;
  for (; v + 128 <= end; v += 128) {
    addOne32(weights, v, valueBytes, count, sums, factor);
    sums += 128;
  }
  for (; v < end; v += 16) {
    addOne4<f32>(weights, v, valueBytes, count, sums, factor);
    sums += 16;
  }
}
