export { describeGguf, type GgufDescription, renderGguf } from './describe.js';
export { GgufFile, type GgufPart, type GgufTensor, openGguf } from './gguf-file.js';
export { createGgufWriter, type GgufWriteOptions, type GgufWriter, writeGguf } from './gguf-writer.js';
export { type GgufContent, layoutGguf } from './layout.js';
export { mergeGguf, type SplitLimits, splitGguf } from './split.js';
export { parseSplitPath, splitPath } from './split-names.js';
