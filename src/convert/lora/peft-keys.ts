import { canonicalName, ggufNames, isVisionName } from '../names.js';

/** What a tensor of a PEFT adapter belongs to. */
export type PeftKey = {
  readonly factor: 'A' | 'B';
  /** Module as PEFT's patterns see it. */
  readonly module: string;
} & (
  | { readonly kind: 'linear'; readonly gguf: string }
  /** One expert's linear layer, in models that keep experts apart. */
  | { readonly kind: 'expert'; readonly gguf: string; readonly expert: number }
  /** A parameter of all experts; which one follows from nesting, shapes and the configuration. */
  | { readonly kind: 'fused'; readonly layer: number; readonly nested: boolean }
);

const PREFIX = /^base_model\.model\./;
const FACTOR = /\.lora_(A|B)(?:\.default)?\.weight$/;
const FUSED = /^model\.layers\.(\d{1,5})\.feed_forward\.experts(\.base_layer)?$/;
// transformers' layer lists, and the stacked spelling of others.
const EXPERT =
  /^model\.layers\.(\d{1,5})\.feed_forward\.experts\.(?:(\d{1,5})\.(gate|up|down)_proj|(gate|up|down)_projs\.(\d{1,5}))$/;

/** Reads a tensor's name; otherwise the words for why it cannot be used. */
export function parsePeftKey(key: string): PeftKey | string {
  if (key.includes('lora_magnitude_vector')) return 'belongs to DoRA';
  if (key.includes('lora_embedding_')) return 'adapts the token embeddings';
  const found = FACTOR.exec(key);
  if (!found || !PREFIX.test(key)) return 'is no factor of a linear layer';
  const factor = found[1] as 'A' | 'B';
  const module = key.slice(0, found.index).replace(PREFIX, '');
  const canonical = canonicalName(module);
  if (isVisionName(canonical)) return 'adapts the vision tower';
  const fused = FUSED.exec(canonical);
  if (fused)
    return { factor, module, kind: 'fused', layer: Number(fused[1]), nested: fused[2] !== undefined };
  const expert = EXPERT.exec(canonical);
  if (expert) {
    const gguf = `blk.${Number(expert[1])}.ffn_${expert[3] ?? expert[4]}_exps.weight`;
    return { factor, module, kind: 'expert', gguf, expert: Number(expert[2] ?? expert[5]) };
  }
  const [gguf, ...others] = ggufNames(`${canonical}.weight`);
  if (gguf === undefined || others.length > 0) return 'belongs to no linear layer of a Llama 4 text model';
  return { factor, module, kind: 'linear', gguf };
}

/** Names of the parameters of fused experts. */
export const FUSED_PARAMETERS = { gateUp: 'gate_up_proj', down: 'down_proj' } as const;
