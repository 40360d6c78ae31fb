// Vectors that are constant. Newer V8, which the build `dot` needs, makes them anew wherever they are used, even in
// loops, with three instructions, and loads globals that are set at run time with one; older V8 keeps constants in
// registers.

let bytes2 = i8x16.splat(0);
let bytes3 = i8x16.splat(0);
let bytes4 = i8x16.splat(0);
let bytes7 = i8x16.splat(0);
let bytes8 = i8x16.splat(0);
let bytes12 = i8x16.splat(0);
let bytes15 = i8x16.splat(0);
let bytes16 = i8x16.splat(0);
let bytes24 = i8x16.splat(0);
let bytes31 = i8x16.splat(0);
let bytes43 = i8x16.splat(0);
let bytes48 = i8x16.splat(0);
let bytes62 = i8x16.splat(0);
let bytes63 = i8x16.splat(0);
let words1 = i16x8.splat(0);
let words15 = i16x8.splat(0);

export function setConstants(): void {
  bytes2 = i8x16.splat(2);
  bytes3 = i8x16.splat(3);
  bytes4 = i8x16.splat(4);
  bytes7 = i8x16.splat(7);
  bytes8 = i8x16.splat(8);
  bytes12 = i8x16.splat(12);
  bytes15 = i8x16.splat(15);
  bytes16 = i8x16.splat(16);
  bytes24 = i8x16.splat(24);
  bytes31 = i8x16.splat(31);
  bytes43 = i8x16.splat(43);
  bytes48 = i8x16.splat(48);
  bytes62 = i8x16.splat(62);
  bytes63 = i8x16.splat(63);
  words1 = i16x8.splat(1);
  words15 = i16x8.splat(15);
}

/** `value` (constant) in every byte. */
@inline
export function bytesOf(value: i32): v128 {
  if (ACCUMULATING_DOT) {
    if (value == 2) return bytes2;
    if (value == 3) return bytes3;
    if (value == 4) return bytes4;
    if (value == 7) return bytes7;
    if (value == 8) return bytes8;
    if (value == 12) return bytes12;
    if (value == 15) return bytes15;
    if (value == 16) return bytes16;
    if (value == 24) return bytes24;
    if (value == 31) return bytes31;
    if (value == 43) return bytes43;
    if (value == 48) return bytes48;
    if (value == 62) return bytes62;
    if (value == 63) return bytes63;
  }
  return i8x16.splat(<i8>value);
}

/** `value` (constant) in every word. */
@inline
export function wordsOf(value: i32): v128 {
  if (ACCUMULATING_DOT) {
    if (value == 1) return words1;
    if (value == 15) return words15;
  }
  return i16x8.splat(<i16>value);
}
