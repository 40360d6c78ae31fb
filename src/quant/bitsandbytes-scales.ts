/** Scales that share a scale of their own in bitsandbytes' double quantization. */
export const NESTED_BLOCK = 256;

/**
 * The 256 values of bitsandbytes' signed dynamic type (`create_dynamic_map`), ascending: seven ranges of powers of
 * ten, each with twice as many values as the one below, and 0 and 1, but not −1 (Dettmers, 2015).
 */
export const DYNAMIC_VALUES: Float32Array = dynamicValues();

function dynamicValues(): Float32Array {
  const values = [0, 1];
  for (let range = 0; range < 7; range++) {
    const count = 2 ** range;
    const step = Math.fround((1 - Math.fround(0.1)) / count);
    // As torch.linspace: from both ends to the middle, with fused multiply and add.
    const border = (i: number) =>
      Math.fround(2 * i < count ? Math.fround(0.1) + step * i : 1 - step * (count - i));
    for (let i = 0; i < count; i++) {
      const middle = Math.fround(Math.fround(border(i) + border(i + 1)) / 2);
      const value = Math.fround(10 ** (range - 6)) * middle;
      values.push(value, -value);
    }
  }
  return Float32Array.from(values).sort();
}

const BORDERS = DYNAMIC_VALUES.subarray(1).map((value, code) => (value + DYNAMIC_VALUES[code]!) / 2);

/** The scales of a tensor in 8 bits. */
export interface NestedScales {
  readonly codes: Uint8Array;
  /** Scale of every `NESTED_BLOCK` codes. */
  readonly scales: Float32Array;
  /** Added to every decoded scale: the mean of them all. */
  readonly offset: number;
}

/** bitsandbytes' double quantization of the scales of one tensor. */
export function nestScales(absmax: Float32Array): NestedScales {
  let sum = 0;
  for (const value of absmax) sum += value;
  const offset = absmax.length > 0 ? Math.fround(sum / absmax.length) : 0;
  const codes = new Uint8Array(absmax.length);
  const scales = new Float32Array(Math.ceil(absmax.length / NESTED_BLOCK));
  for (let block = 0; block < scales.length; block++) {
    const start = block * NESTED_BLOCK;
    const end = Math.min(start + NESTED_BLOCK, absmax.length);
    let scale = 0;
    for (let i = start; i < end; i++) scale = Math.max(scale, Math.abs(Math.fround(absmax[i]! - offset)));
    scales[block] = scale;
    for (let i = start; i < end; i++) {
      const value = Math.fround(absmax[i]! - offset);
      codes[i] = dynamicCode(scale > 0 ? Math.fround(value / scale) : 0);
    }
  }
  return { codes, scales, offset };
}

/**
 * Decodes the scales of blocks from `first` on. `codes` starts with the first of them, `nested` with the scale of its
 * 256, `values` are those of the codes.
 */
export function unnestScales(
  first: number,
  codes: Uint8Array,
  nested: { readonly scales: Float32Array; readonly values: Float32Array; readonly offset: number },
  target: Float32Array,
  block = NESTED_BLOCK,
): void {
  const firstBlock = Math.floor(first / block);
  for (let i = 0; i < target.length; i++) {
    const scale = nested.scales[Math.floor((first + i) / block) - firstBlock]!;
    target[i] = Math.fround(nested.values[codes[i]!]! * scale) + nested.offset;
  }
}

function dynamicCode(value: number): number {
  let code = 0;
  for (let step = 128; step > 0; step >>= 1) {
    if (value > BORDERS[code + step - 1]!) code += step;
  }
  return code;
}
