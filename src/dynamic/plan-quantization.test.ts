import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type GgmlType, rowBytes } from '../formats/ggml-types.js';
import type { Imatrix } from '../formats/imatrix/index.js';
import { elementCount, rowCount, type TensorInfo } from '../formats/tensor-source.js';
import { bitsOfType, CANDIDATE_TYPES } from './candidates.js';
import type { Measurements } from './measurements.js';
import { planQuantization, QuantizationPlanner } from './plan-quantization.js';
import { plannedTensors } from './plan-summary.js';
import type { TypePlan } from './type-plan.js';

function tensor(name: string, shape: readonly number[], type: GgmlType = 'BF16'): TensorInfo {
  return { name, shape, type, bytes: rowCount(shape) * rowBytes(type, shape[0]!) };
}

const TENSORS: readonly TensorInfo[] = [
  tensor('token_embd.weight', [256, 1024]),
  tensor('output.weight', [256, 1024]),
  tensor('output_norm.weight', [256], 'F32'),
  ...[0, 1, 2].flatMap((layer) => [
    tensor(`blk.${layer}.attn_q.weight`, [256, 256]),
    tensor(`blk.${layer}.ffn_gate_inp.weight`, [256, 4], 'F32'),
    tensor(`blk.${layer}.ffn_gate_exps.weight`, [256, 512, 4]),
    tensor(`blk.${layer}.ffn_down_exps.weight`, [512, 256, 4]),
  ]),
];

const IMATRIX: Imatrix = {
  datasets: [],
  chunkCount: 1,
  chunkSize: 512,
  entries: new Map(
    TENSORS.map(({ name, shape }) => {
      const matrices = shape[2] ?? 1;
      const sums = new Float32Array(shape[0]! * matrices).fill(1);
      return [name, { sums, counts: new Float64Array(matrices).fill(1000) }];
    }),
  ),
};

/** Errors that quarter with each bit; the first tensors are the most sensitive. */
const MEASUREMENTS: Measurements = new Map(
  TENSORS.map(({ name }, i) => [
    name,
    {
      errors: new Map(CANDIDATE_TYPES.map((type) => [type, 4 ** -bitsOfType(type)])),
      perturbations: [{ type: 'Q3_K', error: 0.02, kld: 0.02 / (i + 1) }],
    },
  ]),
);

const HEADER = 5000;
const fileBytes = (plan: TypePlan) =>
  plannedTensors(TENSORS, plan).reduce((sum, { bytes }) => sum + bytes, HEADER + plan.size);
const options = { measurements: MEASUREMENTS, candidates: { imatrix: IMATRIX }, fileBytes };

const SMALLEST = fileBytes(
  new Map(
    TENSORS.filter(({ shape, type }) => shape.length > 1 && type === 'BF16').map(({ name }) => [
      name,
      /^(output|token_embd)/.test(name) ? 'IQ4_XS' : 'IQ1_S',
    ]),
  ),
);

describe('planQuantization', () => {
  const planner = new QuantizationPlanner(TENSORS, options);

  it('stays within any size and predicts less divergence for more', () => {
    fc.assert(
      fc.property(fc.nat(3_000_000), fc.nat(500_000), (extra, more) => {
        const small = planner.plan({ bytes: SMALLEST + extra });
        const large = planner.plan({ bytes: SMALLEST + extra + more });
        expect(small.bytes).toBeLessThanOrEqual(SMALLEST + extra);
        expect(small.bytes).toBe(fileBytes(small.types));
        expect(large.predictedKld).toBeLessThanOrEqual(small.predictedKld);
      }),
      { numRuns: 50 },
    );
  });

  it('leaves norms and the router alone and keeps floors', () => {
    const { types, decisions } = planner.plan({ bytes: SMALLEST });
    expect(types.has('output_norm.weight')).toBe(false);
    expect(types.has('blk.0.ffn_gate_inp.weight')).toBe(false);
    expect(types.get('output.weight')).toBe('IQ4_XS');
    expect(types.get('blk.1.attn_q.weight')).toBe('IQ1_S');
    expect(decisions.find(({ name }) => name === 'output.weight')).toMatchObject({
      role: 'output',
      floor: 'output-and-embeddings',
      reason: 'floor',
    });
  });

  it('explains each choice with the figures that decided it', () => {
    const plan = planner.plan({ bytes: SMALLEST + 500_000 });
    for (const { type, error, sensitivity, damage, bitsPerWeight } of plan.decisions) {
      expect(error).toBe(4 ** -bitsPerWeight);
      expect(bitsPerWeight).toBe(bitsOfType(type));
      expect(damage).toBeCloseTo(sensitivity * error, 12);
    }
    expect(plan.predictedKld).toBeCloseTo(
      plan.decisions.reduce((sum, { damage }) => sum + damage, 0),
      12,
    );
  });

  it('counts the tensors, not the header, for bits per weight', () => {
    const { types, bytes } = planner.plan({ bitsPerWeight: 3 });
    const weights = TENSORS.reduce((sum, { shape }) => sum + elementCount(shape), 0);
    expect(bytes).toBe(plannedTensors(TENSORS, types).reduce((sum, tensor) => sum + tensor.bytes, 0));
    expect((8 * bytes) / weights).toBeLessThanOrEqual(3);
    expect((8 * bytes) / weights).toBeGreaterThan(2.95);
  });

  it('takes what the user fixed, even below a floor', () => {
    const fixed = new Map<string, GgmlType>([['output.weight', 'Q3_K']]);
    const { types, decisions } = planQuantization(TENSORS, { bytes: SMALLEST }, { ...options, fixed });
    expect(types.get('output.weight')).toBe('Q3_K');
    expect(decisions.find(({ name }) => name === 'output.weight')!.reason).toBe('fixed');
  });

  it('says the smallest size when the target is below it, and refuses sizes that are none', () => {
    expect(() => planner.plan({ bytes: SMALLEST - 1 })).toThrow(
      expect.objectContaining({
        code: 'budget-too-small',
        message: expect.stringContaining(`${SMALLEST} bytes`),
      }),
    );
    expect(() => planner.plan({ bitsPerWeight: 1.2 })).toThrow(
      expect.objectContaining({
        code: 'budget-too-small',
        message: expect.stringContaining('bits per weight'),
      }),
    );
    expect(() => planner.plan({ bytes: Number.NaN })).toThrow(
      expect.objectContaining({ code: 'bad-target' }),
    );
  });
});
