// Four rows side by side, as the batched products read them.

/** Tokens whose sums and activations of one group of columns stay in the first cache. */
export const TILE: i32 = 128;

@inline
function storeTransposed(r0: v128, r1: v128, r2: v128, r3: v128, out: usize): void {
  const low01 = v128.shuffle<i32>(r0, r1, 0, 4, 1, 5);
  const high01 = v128.shuffle<i32>(r0, r1, 2, 6, 3, 7);
  const low23 = v128.shuffle<i32>(r2, r3, 0, 4, 1, 5);
  const high23 = v128.shuffle<i32>(r2, r3, 2, 6, 3, 7);
  v128.store(out, v128.shuffle<i64>(low01, low23, 0, 2));
  v128.store(out, v128.shuffle<i64>(low01, low23, 1, 3), 16);
  v128.store(out, v128.shuffle<i64>(high01, high23, 0, 2), 32);
  v128.store(out, v128.shuffle<i64>(high01, high23, 1, 3), 48);
}

/** f32[4][n], rows `rowBytes` long, to f32[n][4]; reads and writes as if n were a multiple of four. */
export function transpose4(source: usize, rowBytes: usize, target: usize): void {
  for (const end = source + rowBytes; source < end; source += 16) {
    storeTransposed(
      v128.load(source),
      v128.load(source + rowBytes),
      v128.load(source + 2 * rowBytes),
      v128.load(source + 3 * rowBytes),
      target,
    );
    target += 64;
  }
}

/** i8[4][columns] to u8[columns / 4][4][4], four columns of each row side by side; `offset` makes them unsigned. */
export function transposeCodes4(source: usize, columns: usize, target: usize, offset: i32): void {
  const add = i8x16.splat(<i8>offset);
  for (const end = source + columns; source < end; source += 16) {
    storeTransposed(
      i8x16.add(v128.load(source), add),
      i8x16.add(v128.load(source + columns), add),
      i8x16.add(v128.load(source + 2 * columns), add),
      i8x16.add(v128.load(source + 3 * columns), add),
      target,
    );
    target += 64;
  }
}

/** i8[4][columns] to i8[columns / 2][4][2], two columns of each row side by side. */
export function interleaveCodes4(source: usize, columns: usize, target: usize): void {
  for (const end = source + columns; source < end; source += 16) {
    const r0 = v128.load(source);
    const r1 = v128.load(source + columns);
    const r2 = v128.load(source + 2 * columns);
    const r3 = v128.load(source + 3 * columns);
    const low01 = v128.shuffle<i16>(r0, r1, 0, 8, 1, 9, 2, 10, 3, 11);
    const high01 = v128.shuffle<i16>(r0, r1, 4, 12, 5, 13, 6, 14, 7, 15);
    const low23 = v128.shuffle<i16>(r2, r3, 0, 8, 1, 9, 2, 10, 3, 11);
    const high23 = v128.shuffle<i16>(r2, r3, 4, 12, 5, 13, 6, 14, 7, 15);
    v128.store(target, v128.shuffle<i32>(low01, low23, 0, 4, 1, 5));
    v128.store(target, v128.shuffle<i32>(low01, low23, 2, 6, 3, 7), 16);
    v128.store(target, v128.shuffle<i32>(high01, high23, 0, 4, 1, 5), 32);
    v128.store(target, v128.shuffle<i32>(high01, high23, 2, 6, 3, 7), 48);
    target += 64;
  }
}
