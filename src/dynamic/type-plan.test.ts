import { describe, expect, it } from 'vitest';
import type { TensorInfo } from '../formats/tensor-source.js';
import { resolvePlan, typeForRows, uniformPlan } from './type-plan.js';

const tensor = (name: string, ...shape: number[]): TensorInfo => ({ name, type: 'BF16', shape, bytes: 0 });
const TENSORS = [
  tensor('token_embd.weight', 512, 8),
  tensor('blk.0.attn_norm.weight', 512),
  tensor('blk.0.ffn_gate_inp.weight', 512, 4),
  tensor('blk.0.attn_q.weight', 512, 4),
  tensor('blk.1.attn_q.weight', 512, 4),
  tensor('blk.1.ffn_down_exps.weight', 96, 4, 2),
  tensor('output.weight', 512, 8),
];
const types = uniformPlan(TENSORS, 'Q4_K');

describe('resolvePlan', () => {
  it('leaves norms and the router alone and narrows rows that blocks do not divide', () => {
    expect(resolvePlan(TENSORS, { types })).toEqual({
      plan: new Map([
        ['token_embd.weight', 'Q4_K'],
        ['blk.0.attn_q.weight', 'Q4_K'],
        ['blk.1.attn_q.weight', 'Q4_K'],
        ['blk.1.ffn_down_exps.weight', 'Q5_0'],
        ['output.weight', 'Q4_K'],
      ]),
      fallbacks: [{ name: 'blk.1.ffn_down_exps.weight', columns: 96, wanted: 'Q4_K', type: 'Q5_0' }],
    });
  });

  it('takes the first override that matches, and the special tensors from their own options', () => {
    const { plan } = resolvePlan(TENSORS, {
      types,
      overrides: [
        { pattern: /blk\.1\./, type: 'Q8_0' },
        { pattern: /attn|output|gate_inp/, type: 'IQ4_NL' },
      ],
      tokenEmbedding: 'Q5_K',
      output: 'F16',
    });
    expect(Object.fromEntries(plan)).toEqual({
      'token_embd.weight': 'Q5_K',
      'blk.0.attn_q.weight': 'IQ4_NL',
      'blk.1.attn_q.weight': 'Q8_0',
      'blk.1.ffn_down_exps.weight': 'Q8_0',
      'output.weight': 'F16',
    });
  });

  it('leaves tensors alone that nobody asked for', () => {
    const { plan } = resolvePlan(TENSORS, { types: new Map([['output.weight', 'Q6_K']]) });
    expect([...plan]).toEqual([['output.weight', 'Q6_K']]);
  });
});

describe('typeForRows', () => {
  it.each([
    ['Q4_K', 512, 'Q4_K'],
    ['Q6_K', 96, 'Q8_0'],
    ['Q2_K', 96, 'Q4_0'],
    ['IQ2_XXS', 96, 'IQ4_NL'],
    ['IQ1_S', 100, 'F16'],
    ['Q8_0', 100, 'F16'],
  ] as const)('%s in rows of %d is %s', (type, columns, expected) => {
    expect(typeForRows(type, columns)).toBe(expected);
  });
});
