import { madd } from '../math';

// Four rows of A times a panel of eight columns of B: what fits sixteen registers as V8 11.3 (Node 20) allots them. It
// loads all that a round of the loop needs before it computes, so a round's sums and loads must fit together: eight sums
// and six loads do. With six rows, or two steps a round, sums go by way of the stack, which takes 1.6 times as long.

export const TILE_ROWS: i32 = 4;

@inline
function put(c: usize, low: v128, high: v128, accumulate: bool): void {
  if (accumulate) {
    v128.store(c, f32x4.add(v128.load(c), low));
    v128.store(c, f32x4.add(v128.load(c, 16), high), 16);
  } else {
    v128.store(c, low);
    v128.store(c, high, 16);
  }
}

/** f32[4][8] C (+)= A B for rows of A `aStride` bytes apart; panel b: f32[depth][8]. */
export function multiplyRowsTile(
  a: usize, aStride: usize, b: usize, depth: i32, c: usize, cStride: usize, accumulate: bool,
): void {
  let a1 = a + aStride;
  let a2 = a1 + aStride;
  let a3 = a2 + aStride;
  let low0 = f32x4.splat(0);
  let low1 = low0, low2 = low0, low3 = low0, high0 = low0, high1 = low0, high2 = low0, high3 = low0;
  for (; depth > 0; depth--) {
    const low = v128.load(b);
    const high = v128.load(b, 16);
    let x = v128.load32_splat(a);
    low0 = madd(x, low, low0);
    high0 = madd(x, high, high0);
    x = v128.load32_splat(a1);
    low1 = madd(x, low, low1);
    high1 = madd(x, high, high1);
    x = v128.load32_splat(a2);
    low2 = madd(x, low, low2);
    high2 = madd(x, high, high2);
    x = v128.load32_splat(a3);
    low3 = madd(x, low, low3);
    high3 = madd(x, high, high3);
    a += 4;
    a1 += 4;
    a2 += 4;
    a3 += 4;
    b += 32;
  }
  put(c, low0, high0, accumulate);
  c += cStride;
  put(c, low1, high1, accumulate);
  c += cStride;
  put(c, low2, high2, accumulate);
  c += cStride;
  put(c, low3, high3, accumulate);
}

/** As multiplyRowsTile, for A as f32[depth][4], its lines `aStride` bytes apart. */
export function multiplyColumnsTile(
  a: usize, aStride: usize, b: usize, depth: i32, c: usize, cStride: usize, accumulate: bool,
): void {
  let low0 = f32x4.splat(0);
  let low1 = low0, low2 = low0, low3 = low0, high0 = low0, high1 = low0, high2 = low0, high3 = low0;
  for (; depth > 0; depth--) {
    const low = v128.load(b);
    const high = v128.load(b, 16);
    let x = v128.load32_splat(a);
    low0 = madd(x, low, low0);
    high0 = madd(x, high, high0);
    x = v128.load32_splat(a, 4);
    low1 = madd(x, low, low1);
    high1 = madd(x, high, high1);
    x = v128.load32_splat(a, 8);
    low2 = madd(x, low, low2);
    high2 = madd(x, high, high2);
    x = v128.load32_splat(a, 12);
    low3 = madd(x, low, low3);
    high3 = madd(x, high, high3);
    a += aStride;
    b += 32;
  }
  put(c, low0, high0, accumulate);
  c += cStride;
  put(c, low1, high1, accumulate);
  c += cStride;
  put(c, low2, high2, accumulate);
  c += cStride;
  put(c, low3, high3, accumulate);
}
