// Searches of the block encoders. Each is the algorithm of the TypeScript file of the same name in src/quant/encode,
// where it is described, with the same operations in the same order, so that both write the same bytes.
export { searchSuperAffine } from './super-affine';
export { searchSuperScale } from './super-scale';
export { defineLattice, defineWordSearch, searchWords } from './words';

/** Reserves memory for good; the address is divisible by 16. */
export function allocate(bytes: usize): usize {
  return heap.alloc(bytes);
}
