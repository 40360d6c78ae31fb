import { CriaError } from '../../base/errors.js';
import { quote } from '../../base/text.js';
import type { SafetensorsFile } from '../../formats/safetensors/index.js';

/** What other ways of quantizing call their tensors. */
const PACKED = /\.(weight_packed|qweight|qzeros|weight_zero_point|weight_scale_inv)$/;

/** Throws `unsupported-quantization` for checkpoints of GPTQ, AWQ and packed integers, before names confuse. */
export function refusePackedWeights(file: SafetensorsFile): void {
  for (const name of file.tensors.keys()) {
    if (!PACKED.test(name)) continue;
    throw new CriaError(
      'unsupported',
      'unsupported-quantization',
      `'${file.path}': expected 16-bit or 32-bit floats, bitsandbytes (4-bit, 8-bit) or FP8, found ${quote(name)}`,
    );
  }
}
