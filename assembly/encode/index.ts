// Encoders of single blocks; see src/quant/encode/compiled.ts.
export {
  encodeIQ1_M, encodeIQ1_S, encodeIQ2_S, encodeIQ2_XS, encodeIQ2_XXS, encodeIQ3_S, encodeIQ3_XXS, setGridIQ1_M,
  setGridIQ1_S, setGridIQ2_S, setGridIQ2_XS, setGridIQ2_XXS, setGridIQ3_S, setGridIQ3_XXS,
} from './iq';
export { encodeQ2_K, encodeQ4_1, encodeQ4_K, encodeQ5_1, encodeQ5_K } from './affine-formats';
export { encodeIQ4_NL, encodeIQ4_XS, encodeQ3_K, encodeQ4_0, encodeQ5_0, encodeQ6_K } from './scale-formats';

/** Reserves memory for good; the address is divisible by 16. */
export function allocate(bytes: usize): usize {
  return heap.alloc(bytes);
}
