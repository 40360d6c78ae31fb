export {
  FOUR_BIT_SUFFIXES,
  type FourBitTensors,
  INT8_SUFFIXES,
  type Int8Tensors,
  layoutFourBit,
  layoutInt8,
  ROW_FORMAT,
} from './layout.js';
export {
  type FourBitDtype,
  MAX_QUANT_STATE_BYTES,
  packQuantState,
  parseQuantState,
  type QuantState,
  quantStateBytes,
} from './quant-state.js';
export { type BitsandbytesOptions, quantizationConfig } from './quantization-config.js';
