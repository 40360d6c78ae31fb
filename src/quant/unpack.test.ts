import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { setFlagsFromString } from 'node:v8';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type GgmlType, ggmlType } from '../formats/ggml-types.js';
import { blockFormat, WEIGHT_TYPES } from './index.js';
import { KERNEL_TABLE_OFFSETS, kernelTables } from './kernel-tables.js';
import { codeRange, hasMins, unpackedGroup } from './unpacked-layout.js';

interface UnpackKernels {
  setTables(address: number): void;
  unpack(type: number, source: number, codes: number, scales: number, mins: number, blocks: number): void;
  unpackFloat(type: number, source: number, target: number, count: number): void;
}

const require = createRequire(import.meta.url);
const TABLES = 1024;
const SOURCE = 2 * 65536;
const CODES = 3 * 65536;
const SCALES = 4 * 65536;
const MINS = 4 * 65536 + 32768;
const PAGES = 5;
/** A NaN of its own, to see what was written. */
const UNTOUCHED = 0x7fdadada;

const FLOAT_TYPES: readonly GgmlType[] = ['F32', 'F16', 'BF16'];
const BLOCK_TYPES = WEIGHT_TYPES.filter((type) => !FLOAT_TYPES.includes(type));

describe.each(['#kernels', '#kernels-relaxed'])('%s', async (build) => {
  const bytes = readFileSync(require.resolve(build));
  if (!WebAssembly.validate(bytes)) {
    setFlagsFromString('--experimental-wasm-relaxed-simd');
  }
  const memory = new WebAssembly.Memory({ initial: PAGES, maximum: 65536, shared: true });
  const heap = new Uint8Array(memory.buffer);
  heap.set(kernelTables(), TABLES);
  const { exports } = new WebAssembly.Instance(await WebAssembly.compile(bytes), {
    env: {
      memory,
      abort: () => {
        throw new Error('abort');
      },
    },
  });
  const kernels = exports as unknown as UnpackKernels;
  kernels.setTables(TABLES);

  /** Scales, minima and the weights they make of whole blocks, with what the kernel must not touch beside them. */
  function unpack(type: GgmlType, encoded: Uint8Array) {
    const { id, blockSize, typeSize } = ggmlType(type);
    const blocks = encoded.length / typeSize;
    const weights = blocks * blockSize;
    const group = unpackedGroup(type);
    new Uint32Array(memory.buffer, CODES).fill(UNTOUCHED);
    heap.set(encoded, SOURCE + 1);
    kernels.unpack(id, SOURCE + 1, CODES, SCALES, MINS, blocks);
    const codes = new Int8Array(memory.buffer, CODES, weights);
    const scales = new Float32Array(memory.buffer, SCALES, weights / group);
    const mins = new Float32Array(memory.buffer, MINS, weights / group);
    const decoded = Float32Array.from(codes, (code, i) => {
      const product = Math.fround(scales[Math.floor(i / group)]! * code);
      return hasMins(type) ? product - mins[Math.floor(i / group)]! : product;
    });
    return { codes, decoded, weights, groups: weights / group };
  }

  describe.each(BLOCK_TYPES)('%s', (type) => {
    const { typeSize, blockSize } = ggmlType(type);
    const anyBlocks = fc
      .integer({ min: 0, max: Math.max(1, 1024 / blockSize) })
      .chain((blocks) => fc.uint8Array({ minLength: blocks * typeSize, maxLength: blocks * typeSize }));

    it('unpacks any bytes to the weights of the reference decoder', () => {
      fc.assert(
        fc.property(anyBlocks, (encoded) => {
          const expected = new Float32Array((encoded.length / typeSize) * blockSize);
          blockFormat(type).decode(encoded, expected);
          const { codes, decoded } = unpack(type, encoded);
          const { min, max } = codeRange(type);
          expect(codes.every((code) => code >= min && code <= max)).toBe(true);
          const different = decoded.findIndex((weight, i) => !Object.is(weight, expected[i]));
          expect([different, decoded[different]]).toEqual([-1, undefined]);
        }),
        { numRuns: 200 },
      );
    });

    it('writes the layout that unpacked-layout.ts describes and nothing else', () => {
      const { weights, groups } = unpack(type, new Uint8Array(3 * typeSize));
      const isUntouched = (at: number) => new Uint32Array(memory.buffer, at, 1)[0] === UNTOUCHED;
      const firstAndNext = (at: number, length: number) => [isUntouched(at), isUntouched(at + length)];
      expect(firstAndNext(CODES, weights)).toEqual([false, true]);
      expect(firstAndNext(SCALES, 4 * groups)).toEqual([false, true]);
      expect(isUntouched(SCALES + 4 * groups - 4)).toBe(false);
      expect(firstAndNext(MINS, 4 * groups)).toEqual([!hasMins(type), true]);
      expect(isUntouched(MINS + 4 * groups - 4)).toBe(!hasMins(type));
    });
  });

  it.each(FLOAT_TYPES)('%s unpacks to the bits of the reference decoder, whatever the count', (type) => {
    const { id, typeSize } = ggmlType(type);
    const decoded = (encoded: Uint8Array) => {
      const count = encoded.length / typeSize;
      heap.set(encoded, SOURCE + 1);
      new Uint32Array(memory.buffer, CODES, count + 1).fill(UNTOUCHED);
      kernels.unpackFloat(id, SOURCE + 1, CODES, count);
      return new Uint32Array(memory.buffer, CODES, count + 1).slice();
    };
    const expected = (encoded: Uint8Array) => {
      const target = new Float32Array(encoded.length / typeSize);
      blockFormat(type).decode(encoded, target);
      return Uint32Array.of(...new Uint32Array(target.buffer), UNTOUCHED);
    };
    for (let first = 0; first < 1 << 16; first += 4099) {
      const encoded = new Uint8Array(Uint16Array.from({ length: 4099 }, (_, i) => first + i).buffer);
      const whole = encoded.subarray(0, Math.floor(encoded.length / typeSize) * typeSize);
      expect(decoded(whole)).toEqual(expected(whole));
    }
    expect(decoded(new Uint8Array(0))).toEqual(Uint32Array.of(UNTOUCHED));
  });
});

it('agrees with the kernels on where the tables are', () => {
  const source = readFileSync(new URL('../../assembly/unpack/tables.ts', import.meta.url), 'utf8');
  const constants = [...source.matchAll(/^export const (\w+): usize = (\d+);$/gm)];
  expect(Object.fromEntries(constants.map(([, name, offset]) => [name, Number(offset)]))).toEqual(
    KERNEL_TABLE_OFFSETS,
  );
});
