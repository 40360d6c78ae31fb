/** Elements that share a scale. */
export const EIGHT_BIT_BLOCK = 256;

/**
 * The 256 values, ascending in [-1, 1] or [0, 1], that a byte of an optimizer's state stands for: the dynamic map of
 * 8-bit optimizers (Dettmers et al. 2022, arXiv:2110.02861, section 2.1). Decade by decade, from 10⁻⁶ to 1, twice as
 * many values as in the decade below: the middles of equal parts of [0.1, 1] × 10^decade. With 0 and 1.
 * @param signed with the negatives of all but 1, and half as many values a decade
 */
export function dynamicMap(signed: boolean): Float32Array<ArrayBuffer> {
  const values = [0, 1];
  for (let decade = 0; decade < 7; decade++) {
    const parts = 2 ** (signed ? decade : decade + 1);
    for (let part = 0; part < parts; part++) {
      const value = 10 ** (decade - 6) * (0.1 + (0.9 * (part + 0.5)) / parts);
      values.push(value);
      if (signed) values.push(-value);
    }
  }
  return Float32Array.from(values).sort();
}

/** Numbers from 2^−22 to 1 by their upper 16 bits: nothing smaller rounds to another value of a map. */
const SMALLEST_BUCKET = (127 - 22) << 7;
const BUCKETS = (127 << 7) - SMALLEST_BUCKET + 1;
const TABLE_FLOATS = 2 * 256;
const TABLE_BYTES = 4 * TABLE_FLOATS + 2 * BUCKETS;

/** Bytes of `eightBitTables()`. */
export const EIGHT_BIT_TABLES_BYTES = 2 * TABLE_BYTES;

/** Writes what assembly/train/eight-bit.ts says of a table. */
function writeTable(table: Uint8Array<ArrayBuffer>, map: Float32Array): void {
  const floats = new Float32Array(TABLE_FLOATS);
  floats.set(map);
  const limits = floats.subarray(256);
  for (let i = 0; i < 255; i++) limits[i] = (map[i]! + map[i + 1]!) / 2;
  limits[255] = Number.POSITIVE_INFINITY;
  table.set(new Uint8Array(floats.buffer));

  const edge = new DataView(new ArrayBuffer(4));
  for (let bucket = 0; bucket < 2 * BUCKETS; bucket++) {
    const negative = bucket >= BUCKETS;
    const upper = SMALLEST_BUCKET + (bucket % BUCKETS);
    // The smallest number of the bucket: of positive ones the lower edge, and 0 of the first.
    edge.setUint32(0, negative ? (0x8000_0000 | ((upper << 16) + 0xffff)) >>> 0 : upper << 16);
    const least = bucket === 0 ? 0 : edge.getFloat32(0);
    table[4 * TABLE_FLOATS + bucket] = limits.findIndex((limit) => least <= limit);
  }
}

/** What the kernel `adamw8bit` reads at `tables`: for the first moment, then for the second. */
export function eightBitTables(): Uint8Array<ArrayBuffer> {
  const tables = new Uint8Array(EIGHT_BIT_TABLES_BYTES);
  writeTable(tables.subarray(0, TABLE_BYTES), dynamicMap(true));
  writeTable(tables.subarray(TABLE_BYTES), dynamicMap(false));
  return tables;
}
