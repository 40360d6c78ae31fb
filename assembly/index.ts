// Entry point of the kernels: everything exported here can be called from src/engine/kernels.ts.
export { setTables, unpack, unpackFloat } from './unpack/index';
export { greatestCode } from './dot-bytes';
export { prepare } from './prepare';
export { quantizeActivations } from './activations';
export { dequantizeRow } from './dequantize';
export { matmulQuantized } from './matmul-quantized';
export { multiplyPanels, packPanel, unpackPanel } from './packed/index';
export { matmulFloat } from './matmul-float';
export { attendSpan, finishAttention, foldSpans } from './attention';
export { loadCache, storeCache } from './cache';
export { accumulateSquares } from './squares';
export { add, rmsNorm, ropeInterleaved, scale, scaleInto, siluMultiply } from './elementwise';
export { copyRows, gelu, layerNorm } from './vision';
