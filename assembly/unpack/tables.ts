// Look-up tables of the unpack kernels. They live in the shared memory, which several instances use, so they are no
// data segment: JavaScript writes the bytes of src/quant/kernel-tables.ts once and tells every instance where.
// The offsets below are those of that file, where each table is described.

export const SIGN_MASKS: usize = 0;
export const E8M0_HALVES: usize = 1024;
export const UE4M3_HALVES: usize = 2048;
export const IQ3XXS_ENTRIES: usize = 3072;
export const IQ3S_ENTRIES: usize = 4096;
export const IQ2XXS_ENTRIES: usize = 6144;
export const IQ2XS_ENTRIES: usize = 8192;
export const IQ2S_ENTRIES: usize = 12288;
export const IQ1S_ENTRIES: usize = 20480;
export const IQ1_SHIFTED: usize = 36864;
export const SPREAD_LANES: usize = 69632;

export let tables: usize = 0;

/** Tells this instance where the tables are. Call it before `unpack`. */
export function setTables(address: usize): void {
  tables = address;
}
