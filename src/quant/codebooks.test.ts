import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import * as codebooks from './codebooks.js';

const reference = JSON.parse(
  readFileSync(new URL('../../test/data/ggml/codebooks.json', import.meta.url), 'utf8'),
) as Record<string, string[] & number[]>;

describe('codebooks equal the tables of ggml', () => {
  it.each([
    ['iq1s_grid', codebooks.IQ1S_GRID],
    ['iq2xxs_grid', codebooks.IQ2XXS_GRID],
    ['iq2xs_grid', codebooks.IQ2XS_GRID],
    ['iq2s_grid', codebooks.IQ2S_GRID],
    ['iq3xxs_grid', codebooks.IQ3XXS_GRID],
    ['iq3s_grid', codebooks.IQ3S_GRID],
  ])('%s', (name, grid) => {
    const lowestByteFirst = reference[name]!.map((hex) => Buffer.from(hex, 'hex').reverse());
    expect(Buffer.from(grid.buffer)).toEqual(Buffer.concat(lowestByteFirst));
  });

  it.each([
    ['ksigns_iq2xs', codebooks.EVEN_SIGNS],
    ['kvalues_iq4nl', codebooks.IQ4NL_VALUES],
    ['kvalues_fp4', codebooks.FP4_DOUBLED_VALUES],
  ])('%s', (name, values) => {
    expect([...values]).toEqual(reference[name]);
  });
});
