/**
 * sums[i] += Σ over `rows` rows of x[i]², for n columns (a multiple of 4). Row after row in double precision, so that
 * the result does not depend on how rows were divided among calls.
 * @param x f32, rows `rowBytes` apart
 * @param sums f64[n]
 */
export function accumulateSquares(x: usize, rowBytes: usize, rows: i32, sums: usize, n: i32): void {
  const end = x + (<usize>n << 2);
  for (; x < end; x += 16) {
    let low = v128.load(sums);
    let high = v128.load(sums, 16);
    let row = x;
    for (let r: i32 = 0; r < rows; r++) {
      const v = v128.load(row);
      const a = f64x2.promote_low_f32x4(v);
      const b = f64x2.promote_low_f32x4(v128.shuffle<i64>(v, v, 1, 0));
      low = f64x2.add(low, f64x2.mul(a, a));
      high = f64x2.add(high, f64x2.mul(b, b));
      row += rowBytes;
    }
    v128.store(sums, low);
    v128.store(sums, high, 16);
    sums += 32;
  }
}
