import { describe, expect, it } from 'vitest';
import { textTensorShapes } from '../convert/expected-tensors.js';
import { tensorInfo } from '../convert/tensor-plan.js';
import { loraParameters, type TargetOptions } from './target-modules.js';

/** A dense layer, and one of experts. */
const tensors = [
  ...textTensorShapes({
    embeddingLength: 8,
    headCount: 2,
    headCountKv: 1,
    headDim: 4,
    expertCount: 2,
    expertFeedForwardLength: 8,
    feedForwardLength: 16,
    vocabSize: 32,
    moeLayers: [false, true],
  }),
].map(([name, shape]) => tensorInfo(name, shape, 'F32'));

const choose = (options: Partial<TargetOptions>) =>
  loraParameters(tensors, {
    modules: [],
    parameters: [],
    router: false,
    rank: 4,
    alpha: 8,
    rsLora: false,
    ...options,
  });
const names = (options: Partial<TargetOptions>) => choose(options).map((parameter) => parameter.tensors);

describe('loraParameters', () => {
  it('takes ends of names', () => {
    expect(names({ modules: ['q_proj', '1.self_attn.v_proj'] })).toEqual([
      ['blk.0.attn_q.weight'],
      ['blk.1.attn_q.weight'],
      ['blk.1.attn_v.weight'],
    ]);
    expect(names({ modules: ['gate_proj'] })).toEqual([
      ['blk.0.ffn_gate.weight'],
      ['blk.1.ffn_gate_shexp.weight'],
    ]);
  });

  it.each([
    '.*language_model.*(q_proj|shared_expert\\.up_proj)$',
    'model\\.layers\\.\\d+\\.(self_attn\\.q_proj|feed_forward\\.shared_expert\\.up_proj)',
    'model\\.language_model\\.layers\\..*(q_proj|shared_expert.up_proj)',
  ])('takes a regular expression for any class: %s', (modules) => {
    expect(names({ modules: [modules] })).toEqual([
      ['blk.0.attn_q.weight'],
      ['blk.1.attn_q.weight'],
      ['blk.1.ffn_up_shexp.weight'],
    ]);
  });

  it('takes all linear layers, without routers and output unless they are named', () => {
    const all = names({ modules: ['all-linear'] }).flat();
    expect(all).toHaveLength(2 * 4 + 3 + 3);
    expect(names({ modules: ['all-linear'], router: true }).flat()).toHaveLength(15);
    expect(names({ modules: ['lm_head'] })).toEqual([['output.weight']]);
  });

  it('takes parameters of fused experts, gate and up as one', () => {
    expect(names({ parameters: ['experts.down_proj', 'feed_forward.experts.gate_up_proj'] })).toEqual([
      ['blk.1.ffn_gate_exps.weight', 'blk.1.ffn_up_exps.weight'],
      ['blk.1.ffn_down_exps.weight'],
    ]);
  });

  it('scales by alpha / rank, or alpha / √rank', () => {
    expect(choose({ modules: ['k_proj'] })[0]).toMatchObject({ rank: 4, alpha: 8, scale: 2 });
    expect(choose({ modules: ['k_proj'], rsLora: true })[0]!.scale).toBe(4);
  });

  it.each([
    [{ modules: ['vision_model.*'] }, 'unknown-module', /it has lm_head, self_attn\.q_proj/],
    [{ modules: ['qproj'] }, 'unknown-module', /did you mean 'q_proj'\?$/],
    [{ modules: ['(q_proj'] }, 'bad-value', /one regular expression/],
    [{ parameters: ['experts.up_proj'] }, 'unknown-module', /it has feed_forward\.experts\.gate_up_proj, /],
  ])('refuses %j', (options, code, message) => {
    expect(() => choose(options)).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) }),
    );
  });
});
