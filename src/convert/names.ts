/**
 * Tensor names of Hugging Face's Llama 4 checkpoints and of GGUF files. `{}` stands for a layer number. A fused
 * pair of projections has one Hugging Face name and two GGUF names, the gate first.
 * Names from transformers 5 (modeling_llama4.py) and gguf-py of llama.cpp v0.5.0 (constants.py).
 */
type NamePair = readonly [huggingFace: string, gguf: string];

const TEXT: readonly NamePair[] = [
  ['model.embed_tokens.weight', 'token_embd.weight'],
  ['model.norm.weight', 'output_norm.weight'],
  ['lm_head.weight', 'output.weight'],
  ...(
    [
      ['input_layernorm.weight', 'attn_norm.weight'],
      ['post_attention_layernorm.weight', 'ffn_norm.weight'],
      ['self_attn.q_proj.weight', 'attn_q.weight'],
      ['self_attn.k_proj.weight', 'attn_k.weight'],
      ['self_attn.v_proj.weight', 'attn_v.weight'],
      ['self_attn.o_proj.weight', 'attn_output.weight'],
      ['feed_forward.gate_proj.weight', 'ffn_gate.weight'],
      ['feed_forward.up_proj.weight', 'ffn_up.weight'],
      ['feed_forward.down_proj.weight', 'ffn_down.weight'],
      ['feed_forward.router.weight', 'ffn_gate_inp.weight'],
      ['feed_forward.experts.gate_up_proj', 'ffn_gate_exps.weight'],
      ['feed_forward.experts.gate_up_proj', 'ffn_up_exps.weight'],
      ['feed_forward.experts.down_proj', 'ffn_down_exps.weight'],
      ['feed_forward.shared_expert.gate_proj.weight', 'ffn_gate_shexp.weight'],
      ['feed_forward.shared_expert.up_proj.weight', 'ffn_up_shexp.weight'],
      ['feed_forward.shared_expert.down_proj.weight', 'ffn_down_shexp.weight'],
    ] as const
  ).map(([hf, gguf]): NamePair => [`model.layers.{}.${hf}`, `blk.{}.${gguf}`]),
];

const VISION: readonly NamePair[] = [
  ['multi_modal_projector.linear_1.weight', 'mm.model.fc.weight'],
  ['vision_model.class_embedding', 'v.class_embd'],
  ['vision_model.patch_embedding.linear.weight', 'v.patch_embd.weight'],
  ['vision_model.positional_embedding_vlm', 'v.position_embd.weight'],
  ['vision_model.vision_adapter.mlp.fc1.weight', 'mm.model.mlp.1.weight'],
  ['vision_model.vision_adapter.mlp.fc2.weight', 'mm.model.mlp.2.weight'],
  ...(
    [
      ['layernorm_pre', 'pre_ln'],
      ['layernorm_post', 'post_ln'],
      ['model.layers.{}.input_layernorm', 'blk.{}.ln1'],
      ['model.layers.{}.post_attention_layernorm', 'blk.{}.ln2'],
      ['model.layers.{}.self_attn.q_proj', 'blk.{}.attn_q'],
      ['model.layers.{}.self_attn.k_proj', 'blk.{}.attn_k'],
      ['model.layers.{}.self_attn.v_proj', 'blk.{}.attn_v'],
      ['model.layers.{}.self_attn.o_proj', 'blk.{}.attn_out'],
      ['model.layers.{}.mlp.fc1', 'blk.{}.ffn_up'],
      ['model.layers.{}.mlp.fc2', 'blk.{}.ffn_down'],
    ] as const
  ).flatMap(([hf, gguf]): NamePair[] =>
    ['weight', 'bias'].map((kind) => [`vision_model.${hf}.${kind}`, `v.${gguf}.${kind}`]),
  ),
];

const ggufByHuggingFace = new Map<string, string[]>();
const huggingFaceByGguf = new Map<string, string>();
for (const [hf, gguf] of [...TEXT, ...VISION]) {
  ggufByHuggingFace.set(hf, [...(ggufByHuggingFace.get(hf) ?? []), gguf]);
  huggingFaceByGguf.set(gguf, hf);
}

/**
 * The name without what depends on the wrapping model: text-only checkpoints say `model.layers…`, multimodal ones
 * `language_model.model.layers…` (transformers 4) or `model.language_model.layers…` (transformers 5).
 */
export function canonicalName(huggingFace: string): string {
  return huggingFace
    .replace(/^model\.language_model\./, 'model.')
    .replace(/^language_model\./, '')
    .replace(/^model\.(vision_model|multi_modal_projector)\./, '$1.');
}

/** Whether a canonical Hugging Face name belongs to the vision tower or its projector. */
export function isVisionName(canonical: string): boolean {
  return canonical.startsWith('vision_model.') || canonical.startsWith('multi_modal_projector.');
}

/** GGUF names of a canonical Hugging Face tensor: one, two for fused gate and up projections, none if unknown. */
export function ggufNames(canonical: string): string[] {
  return withLayer(canonical, (pattern) => ggufByHuggingFace.get(pattern)) ?? [];
}

/** Canonical Hugging Face name of a GGUF tensor, or undefined if unknown. */
export function huggingFaceName(gguf: string): string | undefined {
  return withLayer(rightVisionName(gguf), (pattern) => {
    const found = huggingFaceByGguf.get(pattern);
    return found === undefined ? undefined : [found];
  })?.[0];
}

/** llama.cpp v0.5.0's converter writes a vision layer's second norm as `attn_post_norm`; other names stay. */
export function rightVisionName(gguf: string): string {
  return gguf.replace(/^(v\.blk\.\d+)\.attn_post_norm\./, '$1.ln2.');
}

function withLayer(name: string, lookup: (pattern: string) => string[] | undefined): string[] | undefined {
  const layer = /(?<=(?:^|\.)(?:layers|blk)\.)(?:0|[1-9]\d{0,4})(?=\.)/.exec(name);
  if (!layer) return lookup(name);
  const pattern = `${name.slice(0, layer.index)}{}${name.slice(layer.index + layer[0].length)}`;
  return lookup(pattern)?.map((found) => found.replace('{}', layer[0]));
}
