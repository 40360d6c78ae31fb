import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Imatrix } from '../formats/imatrix/index.js';
import { coverageReport } from './coverage.js';

const PARTS = ['ffn_gate_exps', 'ffn_up_exps', 'ffn_down_exps'];

function imatrixOf(layers: readonly (readonly number[])[], chunkCount = 10): Imatrix {
  return {
    datasets: [],
    chunkCount,
    chunkSize: 512,
    entries: new Map(
      layers.flatMap((counts, layer) =>
        PARTS.map((part) => [
          `blk.${layer}.${part}.weight`,
          { sums: new Float32Array(2 * counts.length), counts },
        ]),
      ),
    ),
  };
}

const moe = (layers: number, expertCount: number) => ({
  moeLayers: new Array<boolean>(layers).fill(true),
  expertCount,
});

describe('coverageReport', () => {
  it('has nothing to say where every expert saw enough', () => {
    const report = coverageReport(imatrixOf([[300, 256]]), moe(1, 2));
    expect(report).toMatchObject({ poorShare: 0, suggestions: [] });
    expect(report.layers[0]).toMatchObject({ tokens: 556, fewestTokens: 256, tensorsAtRisk: [] });
  });

  it('names poor and unseen experts, the tensors they put at risk and text that would help', () => {
    const imatrix = imatrixOf([
      [1000, 0, 128, 900],
      [500, 500, 500, 500],
    ]);
    const report = coverageReport(imatrix, moe(2, 4));
    expect(report.poorShare).toBe(2 / 8);
    expect(report.layers[0]).toEqual({
      layer: 0,
      experts: 4,
      tokens: 2028,
      expertTokens: [1000, 0, 128, 900],
      fewestTokens: 0,
      medianTokens: 900,
      poorExperts: [1, 2],
      unseenExperts: [1],
      poorShare: 0.5,
      tensorsAtRisk: PARTS.map((part) => `blk.0.${part}.weight`),
    });
    expect(report.layers[1]!.tensorsAtRisk).toEqual([]);
    expect(report.suggestions).toEqual([
      'about 20 windows of such text (now 10) would give 1 of the 1 expert that saw too few tokens their 256',
      expect.stringMatching(/^1 expert saw no token \(layer 0\): add kinds of text that are missing/),
    ]);
  });

  it('points at the text that reaches the poor experts', () => {
    const reach = (name: string, counts: number[]) => ({
      name,
      counts: new Map([['blk.0.ffn_gate_exps.weight', counts]]),
    });
    const texts = [reach('prose.txt', [900, 10]), reach('code.txt', [100, 90])];
    const report = coverageReport(imatrixOf([[1000, 100]]), moe(1, 2), { texts });
    expect(report.suggestions.at(-1)).toMatch(/^'code.txt' reaches these experts 5\.2 times as often/);
  });

  it('takes a tensor without data for one that no token reached, and knows dense layers have no experts', () => {
    const report = coverageReport(imatrixOf([]), { moeLayers: [false, true], expertCount: 3 });
    expect(report.layers).toHaveLength(1);
    expect(report.layers[0]).toMatchObject({ layer: 1, unseenExperts: [0, 1, 2], poorShare: 1 });
    expect(coverageReport(imatrixOf([]), { moeLayers: [false], expertCount: 0 }).poorShare).toBe(0);
  });

  it('never finds more poor experts for more tokens', () => {
    const counts = fc.array(fc.array(fc.nat(600), { minLength: 4, maxLength: 4 }), {
      minLength: 1,
      maxLength: 3,
    });
    fc.assert(
      fc.property(counts, fc.nat(500), (layers, more) => {
        const before = coverageReport(imatrixOf(layers), moe(layers.length, 4));
        const grown = layers.map((layer) => layer.map((count) => count + more));
        const after = coverageReport(imatrixOf(grown), moe(layers.length, 4));
        expect(after.poorShare).toBeLessThanOrEqual(before.poorShare);
        for (const { poorExperts, unseenExperts, poorShare } of before.layers) {
          expect(poorShare).toBe(poorExperts.length / 4);
          expect(poorExperts).toEqual(expect.arrayContaining([...unseenExperts]));
        }
      }),
    );
  });
});
