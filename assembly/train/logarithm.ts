/**
 * Natural logarithm of a normal x > 0: n ln 2 + 2 artanh((m − 1) / (m + 1)) with √½ < m ⩽ √2. The standard library's
 * reads a table at an address of its own, which here would lie in the memory of whoever calls.
 */
export function logarithm(x: f64): f64 {
  const bits = reinterpret<u64>(x);
  let n = <i32>(bits >> 52) - 1023;
  let m = reinterpret<f64>((bits & 0x000fffffffffffff) | 0x3ff0000000000000);
  if (m > 1.4142135623730951) {
    m *= 0.5;
    n++;
  }
  const s = (m - 1) / (m + 1);
  const square = s * s;
  let series: f64 = 0;
  for (let k: f64 = 21; k >= 1; k -= 2) series = series * square + 1 / k;
  return <f64>n * 0.6931471805599453 + 2 * s * series;
}
