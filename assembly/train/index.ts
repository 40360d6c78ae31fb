// Entry point of the training kernels: everything exported here can be called from src/train/kernels.ts.
export { attentionBackward, attentionForward, attentionScratchBytes } from './attention';
export { crossEntropy } from './cross-entropy';
export { dropout } from './dropout';
export { adamw8bit } from './eight-bit';
export {
  rmsNormBackward, rmsNormWeightBackward, ropeInterleavedBackward, siluMultiply, siluMultiplyBackward,
} from './elementwise';
export { adamw, sumOfSquares } from './optimizer';
export { productNN, productNT, productScratchBytes, productTN } from './products';
