export { tokenizerFromGguf, vocabularyFromGguf } from './from-gguf.js';
export { tokenizerFromJson, vocabularyFromJson } from './from-json.js';
export { StreamingDecoder } from './streaming-decoder.js';
export { type DecodeOptions, type EncodeOptions, Tokenizer } from './tokenizer.js';
export type { Vocabulary } from './vocabulary.js';
