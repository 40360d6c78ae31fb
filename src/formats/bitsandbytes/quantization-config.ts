export type BitsandbytesOptions =
  | { readonly bits: 8; readonly skipModules: readonly string[] }
  | {
      readonly bits: 4;
      readonly skipModules: readonly string[];
      readonly quantType: 'nf4' | 'fp4';
      readonly doubleQuantization: boolean;
      /** As transformers spells dtypes: `bfloat16`. */
      readonly computeDtype: string;
    };

/**
 * `quantization_config` of a `config.json`, as JSON text, with the fields that transformers writes (`BitsAndBytesConfig.to_dict`);
 * those that do not concern the bits in use have its defaults.
 * transformers insists that the threshold be spelled as a float, which a number in JavaScript cannot be.
 */
export function quantizationConfig(options: BitsandbytesOptions): string {
  const { bits, skipModules } = options;
  const four = bits === 4;
  const config = {
    _load_in_4bit: four,
    _load_in_8bit: !four,
    bnb_4bit_compute_dtype: four ? options.computeDtype : 'float32',
    bnb_4bit_quant_storage: 'uint8',
    bnb_4bit_quant_type: four ? options.quantType : 'fp4',
    bnb_4bit_use_double_quant: four && options.doubleQuantization,
    llm_int8_enable_fp32_cpu_offload: false,
    llm_int8_has_fp16_weight: false,
    llm_int8_skip_modules: skipModules,
    llm_int8_threshold: 6,
    load_in_4bit: four,
    load_in_8bit: !four,
    quant_method: 'bitsandbytes',
  };
  return JSON.stringify(config, null, 2).replace(/(?<="llm_int8_threshold": )6/, '6.0');
}
