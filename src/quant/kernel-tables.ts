import {
  EVEN_SIGNS,
  IQ1S_GRID,
  IQ2S_GRID,
  IQ2XS_GRID,
  IQ2XXS_GRID,
  IQ3S_GRID,
  IQ3XXS_GRID,
} from './codebooks.js';
import { e8m0Half, ue4m3Half } from './fp4.js';

/** Where each table begins in `kernelTables()`, in bytes. assembly/unpack/tables.ts repeats these numbers. */
export const KERNEL_TABLE_OFFSETS = {
  /** i8[128, 8]: −1 where the sign of the 7-bit sign code is negative, else 0. */
  SIGN_MASKS: 0,
  /** f32[256]: halved block scales of MXFP4. */
  E8M0_HALVES: 1024,
  /** f32[256]: halved group scales of NVFP4. */
  UE4M3_HALVES: 2048,
  /** i8[256, 4] */
  IQ3XXS_ENTRIES: 3072,
  /** i8[512, 4] */
  IQ3S_ENTRIES: 4096,
  /** i8[256, 8] */
  IQ2XXS_ENTRIES: 6144,
  /** i8[512, 8] */
  IQ2XS_ENTRIES: 8192,
  /** i8[1024, 8] */
  IQ2S_ENTRIES: 12288,
  /** i8[2048, 8]: the grid times 8. */
  IQ1S_ENTRIES: 20480,
  /** u8[2, 2048, 8]: the grid times 8, plus 9 and a shift of 1 or −1. */
  IQ1_SHIFTED: 36864,
  /** u8[7, 16]: swizzle indices, see assembly/packed/grids.ts. */
  SPREAD_LANES: 69632,
} as const;

/** Which byte gets to the lower half of each 16-bit lane: assembly/packed/grids.ts. */
const SPREAD_LANES = [
  [0, 0, 0, 0, 1, 1, 1, 1],
  [2, 2, 2, 2, 3, 3, 3, 3],
  [4, 4, 4, 4, 5, 5, 5, 5],
  [6, 6, 6, 6, 7, 7, 7, 7],
  [0, 0, 1, 1, 2, 2, 3, 3],
  [0, 4, 1, 5, 2, 6, 3, 7],
];

const TOTAL_BYTES = 69_760;

/** The look-up tables of the unpack kernels. Copy them to an address divisible by 16 and call `setTables`. */
export function kernelTables(): Uint8Array {
  const bytes = new Uint8Array(TOTAL_BYTES);
  const at = KERNEL_TABLE_OFFSETS;
  const signMasks = Int8Array.from({ length: 128 * 8 }, (_, i) => -((EVEN_SIGNS[i >> 3]! >> (i & 7)) & 1));
  const byteIndexed = (value: (byte: number) => number) =>
    Float32Array.from({ length: 256 }, (_, byte) => value(byte));
  // An index of 128 makes a zero byte.
  const spread = SPREAD_LANES.flatMap((lanes) => lanes.flatMap((byte) => [byte, -128]));
  const upper = [0, 0, 1, 1, 2, 2, 3, 3].flatMap((byte) => [-128, byte]);
  const tables: readonly (readonly [at: number, values: Int8Array | Float32Array])[] = [
    [at.SIGN_MASKS, signMasks],
    [at.E8M0_HALVES, byteIndexed(e8m0Half)],
    [at.UE4M3_HALVES, byteIndexed(ue4m3Half)],
    [at.IQ3XXS_ENTRIES, IQ3XXS_GRID],
    [at.IQ3S_ENTRIES, IQ3S_GRID],
    [at.IQ2XXS_ENTRIES, IQ2XXS_GRID],
    [at.IQ2XS_ENTRIES, IQ2XS_GRID],
    [at.IQ2S_ENTRIES, IQ2S_GRID],
    [at.IQ1S_ENTRIES, IQ1S_GRID.map((value) => 8 * value)],
    [
      at.IQ1_SHIFTED,
      Int8Array.of(...IQ1S_GRID.map((value) => 8 * value + 10), ...IQ1S_GRID.map((value) => 8 * value + 8)),
    ],
    [at.SPREAD_LANES, Int8Array.of(...spread, ...upper)],
  ];
  for (const [offset, values] of tables) {
    bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), offset);
  }
  return bytes;
}
