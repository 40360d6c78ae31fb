import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { canonicalName, ggufNames, huggingFaceName, isVisionName } from './names.js';

const { weight_map: stored } = JSON.parse(
  readFileSync('models/nano-scout/model.safetensors.index.json', 'utf8'),
);

describe('tensor names', () => {
  it('go to GGUF and back for every tensor of a checkpoint', () => {
    for (const name of Object.keys(stored).map(canonicalName)) {
      const gguf = ggufNames(name);
      expect([name, gguf.length]).toEqual([name, name.endsWith('gate_up_proj') ? 2 : 1]);
      for (const target of gguf) expect(huggingFaceName(target)).toBe(name);
      expect(gguf.every((target) => /^(v|mm)\./.test(target))).toBe(isVisionName(name));
    }
  });

  it('do not depend on the wrapping model', () => {
    const name = 'model.layers.47.self_attn.q_proj.weight';
    expect(canonicalName(`language_model.${name}`)).toBe(name);
    expect(canonicalName('model.language_model.layers.47.self_attn.q_proj.weight')).toBe(name);
    expect(canonicalName('model.vision_model.class_embedding')).toBe('vision_model.class_embedding');
    expect(ggufNames(name)).toEqual(['blk.47.attn_q.weight']);
  });

  it("reads llama.cpp's other name of the second vision norm", () => {
    expect(huggingFaceName('v.blk.3.attn_post_norm.bias')).toBe(huggingFaceName('v.blk.3.ln2.bias'));
  });

  it.each([
    'model.layers.01.self_attn.q_proj.weight',
    'model.layers.x.self_attn.q_proj.weight',
    'lm_head',
    '',
  ])('has none for %j', (name) => {
    expect(ggufNames(name)).toEqual([]);
  });
});
