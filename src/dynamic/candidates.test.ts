import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type GgmlType, rowBytes } from '../formats/ggml-types.js';
import type { Imatrix } from '../formats/imatrix/index.js';
import { rowCount, type TensorInfo } from '../formats/tensor-source.js';
import { bitsOfType, candidatesFor, tensorRole } from './candidates.js';

function tensor(name: string, shape: readonly number[], type: GgmlType = 'BF16'): TensorInfo {
  return { name, shape, type, bytes: rowCount(shape) * rowBytes(type, shape[0]!) };
}

function imatrixOf(name: string, columns: number, counts: readonly number[]): Imatrix {
  const entry = { sums: new Float32Array(columns * counts.length).fill(1), counts };
  return { datasets: [], chunkCount: 1, chunkSize: 512, entries: new Map([[name, entry]]) };
}

const GATE = tensor('blk.3.ffn_gate_exps.weight', [512, 256, 10]);
const DOWN = tensor('blk.3.ffn_down_exps.weight', [512, 256, 10]);
const WELL = new Array<number>(10).fill(1000);

describe('candidatesFor', () => {
  it('leaves norms, the router and vectors alone', () => {
    for (const name of ['blk.0.attn_norm.weight', 'output_norm.weight', 'rope_freqs.weight']) {
      expect(candidatesFor(tensor(name, [512], 'F32')).types).toEqual([]);
    }
    expect(candidatesFor(tensor('blk.0.ffn_gate_inp.weight', [512, 16], 'F32')).types).toEqual([]);
  });

  it('keeps output and embeddings at four bits or more, whatever is known of them', () => {
    for (const name of ['output.weight', 'token_embd.weight']) {
      const { types, floor } = candidatesFor(tensor(name, [512, 4096]), {
        imatrix: imatrixOf(name, 512, [5000]),
      });
      expect(floor).toBe('output-and-embeddings');
      expect(types).toContain('Q4_K');
      expect(Math.min(...types.map(bitsOfType))).toBeGreaterThanOrEqual(4);
    }
  });

  it('offers IQ1 and IQ2 only with importances', () => {
    const { types, floor } = candidatesFor(GATE);
    expect(floor).toBe('no-importance');
    expect(types.filter((type) => /^IQ[12]/.test(type))).toEqual([]);
    expect(types).toContain('Q2_K');
    const known = candidatesFor(GATE, { imatrix: imatrixOf(GATE.name, 512, WELL) });
    expect(known.floor).toBe('none');
    expect(known.types[0]).toBe('IQ1_S');
  });

  it('holds poorly calibrated experts at three and four bits', () => {
    const counts = WELL.map((count, i) => (i < 2 ? 3 : count));
    const gate = candidatesFor(GATE, { imatrix: imatrixOf(GATE.name, 512, counts) });
    const down = candidatesFor(DOWN, { imatrix: imatrixOf(DOWN.name, 512, counts) });
    expect(gate).toMatchObject({ floor: 'poorly-calibrated', role: 'gate_up_exps' });
    expect(gate.types[0]).toBe('IQ3_XXS');
    expect(down).toMatchObject({ floor: 'poorly-calibrated', role: 'down_exps' });
    expect(Math.min(...down.types.map(bitsOfType))).toBeGreaterThanOrEqual(4);
    const oneOfTen = WELL.map((count, i) => (i < 1 ? 3 : count));
    expect(candidatesFor(GATE, { imatrix: imatrixOf(GATE.name, 512, oneOfTen) }).floor).toBe('none');
  });

  it('replaces types whose blocks do not divide the rows and never offers more bits than there are', () => {
    const { types } = candidatesFor(tensor('blk.0.attn_q.weight', [96, 64]));
    expect(types.every((type) => 96 % 32 === 0 && !/_K$|^IQ[123]|XS$/.test(type))).toBe(true);
    expect(types).toContain('IQ4_NL');
    const already = candidatesFor(tensor('blk.0.attn_q.weight', [512, 64], 'Q4_K'));
    expect(Math.max(...already.types.map(bitsOfType))).toBeLessThanOrEqual(4.5);
  });

  it('gives ascending bits without repeats for any shape', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('blk.1.attn_v.weight', 'output.weight', GATE.name),
        fc.nat(40),
        (name, n) => {
          const { types } = candidatesFor(tensor(name, [32 * (n + 1), 8]));
          const bits = types.map(bitsOfType);
          expect(bits).toEqual([...bits].sort((a, b) => a - b));
          expect(new Set(types).size).toBe(types.length);
          expect(types.length).toBeGreaterThan(0);
        },
      ),
    );
  });
});

describe('tensorRole', () => {
  it('knows the matrices of a layer', () => {
    const roles = ['attn_output', 'ffn_up_exps', 'ffn_down_exps', 'ffn_gate_shexp', 'ffn_down'].map((part) =>
      tensorRole(`blk.11.${part}.weight`),
    );
    expect(roles).toEqual(['attention', 'gate_up_exps', 'down_exps', 'shexp', 'dense']);
    expect(tensorRole('output.weight')).toBe('output');
    expect(tensorRole('something.weight')).toBe('other');
  });
});
