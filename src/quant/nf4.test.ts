import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NF4_VALUES, nf4Code, roundToNf4 } from './nf4.js';

describe('nf4Code', () => {
  it('gives back every value of the codebook', () => {
    expect(NF4_VALUES.map(nf4Code)).toEqual(NF4_VALUES.map((_, code) => code));
  });

  it('changes code where bitsandbytes does', () => {
    // The borders below and above zero in its CUDA kernel; a tie belongs to the lower code.
    expect([-0.045525018125772476, 0.03979014977812767, 0.8614784181118011].map(nf4Code)).toEqual([6, 7, 14]);
    expect([-0.045525, 0.0397902, 0.861479].map(nf4Code)).toEqual([7, 8, 15]);
  });

  it('is the nearest code', () => {
    fc.assert(
      fc.property(fc.double({ min: -1, max: 1, noNaN: true }), (value) => {
        const distance = Math.abs(NF4_VALUES[nf4Code(value)]! - value);
        expect(distance).toBeLessThanOrEqual(
          Math.min(...NF4_VALUES.map((other) => Math.abs(other - value))) + 1e-7,
        );
      }),
    );
  });
});

describe('roundToNf4', () => {
  it('scales each block by its largest magnitude', () => {
    const source = new Float32Array(70).fill(1);
    source[0] = -4;
    source[65] = 0.5;
    const target = new Float32Array(70);
    roundToNf4(source, target);
    expect(target[0]).toBe(-4);
    expect(target[1]).toBeCloseTo(4 * 0.24611230194568634, 6);
    expect(target[64]).toBe(1);
    expect(target[65]).toBeCloseTo(0.44070982933044434, 6);
  });

  it('keeps zeros', () => {
    const zeros = new Float32Array(64);
    roundToNf4(zeros, zeros);
    expect([...zeros]).toEqual(new Array(64).fill(0));
  });
});
