export { describeSafetensors, renderSafetensors, type SafetensorsDescription } from './describe.js';
export { dtypeBits, SAFETENSORS_DTYPES, type SafetensorsDtype, tensorBytes } from './dtypes.js';
export type { SafetensorsInfo } from './header.js';
export {
  openSafetensors,
  SafetensorsFile,
  type SafetensorsPart,
  type SafetensorsTensor,
} from './safetensors-file.js';
export {
  layoutSafetensors,
  type SafetensorsContent,
  type SafetensorsWriteOptions,
  writeSafetensors,
} from './writer.js';
