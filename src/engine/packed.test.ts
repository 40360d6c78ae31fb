import { beforeAll, expect, it } from 'vitest';
import { type GgmlType, rowBytes } from '../formats/ggml-types.js';
import { blockFormat, WEIGHT_TYPES } from '../quant/index.js';
import {
  PANEL_ROWS,
  packedActivations,
  packedForm,
  packedPanelBytes,
  type RepackMode,
} from '../quant/packed-layout.js';
import { laneScratchBytes } from './operations.js';
import { BYTE_BLOCK, WORD_BLOCK } from './products.js';
import { describeBuilds, KernelBench, randomFloats } from './testing/kernel-bench.js';

const COLUMNS = 512;
const PANELS = 2;
const ROWS = PANELS * PANEL_ROWS;

const forms = WEIGHT_TYPES.flatMap((type) => {
  const numbers = new Set((['lean', 'full'] as const).map((mode) => packedForm(type, mode)));
  return [...numbers].filter((form) => form !== 0).map((form) => ({ type, form }));
});

/** Blocks of a type whose half floats are finite, or its encoder's own of ordinary weights. */
function storedRows(type: GgmlType, seed: number): Uint8Array {
  const size = rowBytes(type, COLUMNS) * ROWS;
  const encode = blockFormat(type).encode;
  if (seed % 2 === 0 && encode) {
    const stored = new Uint8Array(size);
    encode(randomFloats(ROWS * COLUMNS, seed), stored, COLUMNS);
    return stored;
  }
  return Uint8Array.from(randomFloats(size, seed), (v) => Math.floor((v + 1) * 128) & 0xaf);
}

it('has no packed form for floats, and none when off', () => {
  for (const type of ['F32', 'F16', 'BF16'] as const) expect(packedForm(type, 'full')).toBe(0);
  for (const type of WEIGHT_TYPES) expect(packedForm(type, 'off')).toBe(0);
});

it.each(forms)(
  'form $form of $type is whole vectors, and when lean at most 15 % larger',
  ({ type, form }) => {
    const bytes = packedPanelBytes(form, COLUMNS);
    expect(bytes % 16).toBe(0);
    const mode: RepackMode = packedForm(type, 'lean') === form ? 'lean' : 'full';
    if (mode === 'lean') expect(bytes).toBeLessThanOrEqual(rowBytes(type, COLUMNS) * PANEL_ROWS * 1.15);
  },
);

describeBuilds('packed products', (build) => {
  let bench: KernelBench;
  beforeAll(async () => {
    bench = await KernelBench.create(build, 1024);
  });

  /** Tokens quantized to blocks at `target`; returns what the blocks stand for. */
  function quantize(x: Float32Array, bytes: boolean, target: number): Float64Array {
    const tokens = x.length / COLUMNS;
    const blockBytes = bytes ? BYTE_BLOCK : WORD_BLOCK;
    const source = bench.floats(x);
    const rounded = new Float64Array(x.length);
    for (let t = 0; t < tokens; t++) {
      const [from, to] = [source + t * COLUMNS * 4, target + t * blockBytes];
      bench.kernels.quantizeActivations(from, Number(bytes), to, tokens * blockBytes, COLUMNS / 32);
      for (let g = 0; g < COLUMNS / 32; g++) {
        const block = to + g * tokens * blockBytes;
        const { buffer } = bench.u8;
        const codes = bytes ? new Int8Array(buffer, block, 32) : new Int16Array(buffer, block, 32);
        const scale = bench.read(block + (bytes ? 32 : 64), 1)[0]!;
        for (let c = 0; c < 32; c++) rounded[t * COLUMNS + g * 32 + c] = codes[c]! * scale;
      }
    }
    return rounded;
  }

  it.each(forms)(
    'form $form multiplies $type rows as its decoder and 8-bit activations say',
    ({ type, form }) => {
      const panelBytes = packedPanelBytes(form, COLUMNS);
      const size = rowBytes(type, COLUMNS);
      const bytes = packedActivations(form, bench.kernels.greatestCode()) === 'bytes';
      const scratch = bench.allocate(laneScratchBytes(COLUMNS, 32, 1));
      const panels = bench.allocate(panelBytes * PANELS);
      const after = bench.bytes(new Uint8Array(64).fill(0x55));
      for (const seed of [11, 12]) {
        const stored = storedRows(type, seed);
        const weights = new Float32Array(ROWS * COLUMNS);
        blockFormat(type).decode(stored, weights);
        const w = bench.bytes(stored);
        for (let panel = 0; panel < PANELS; panel++) {
          const source = w + panel * PANEL_ROWS * size;
          bench.kernels.packPanel(form, source, size, COLUMNS, panels + panel * panelBytes, scratch);
        }
        for (const tokens of [1, 3, 6]) {
          const x = randomFloats(tokens * COLUMNS, 13);
          // A token with large and small inputs side by side, and one of nothing but ones, the largest sums there are.
          if (tokens > 1) for (let c = 0; c < COLUMNS; c++) x[c]! *= 10 ** ((c % 7) - 3);
          if (tokens > 1) x.fill(1, COLUMNS, 2 * COLUMNS);
          const blocks = bench.allocate((x.length / 32) * WORD_BLOCK);
          const rounded = quantize(x, bytes, blocks);
          const y = bench.floats(new Float32Array(tokens * ROWS).fill(1));
          const multiply = (accumulate: number) =>
            bench.kernels.multiplyPanels(
              form,
              panels,
              PANELS,
              COLUMNS,
              blocks,
              tokens,
              y,
              ROWS * 4,
              accumulate,
              scratch,
            );
          multiply(0);
          const found = bench.read(y, tokens * ROWS);
          const magnitudes: number[] = [];
          for (let t = 0; t < tokens; t++) {
            for (let r = 0; r < ROWS; r++) {
              let [sum, magnitude] = [0, 0];
              for (let c = 0; c < COLUMNS; c++) {
                const product = weights[r * COLUMNS + c]! * rounded[t * COLUMNS + c]!;
                sum += product;
                magnitude += Math.abs(product);
              }
              magnitudes.push(magnitude);
              expect(Math.abs(found[t * ROWS + r]! - sum)).toBeLessThanOrEqual(magnitude * 2e-6);
            }
          }
          multiply(1);
          for (const [i, twice] of bench.read(y, tokens * ROWS).entries()) {
            expect(Math.abs(twice - 2 * found[i]!)).toBeLessThanOrEqual(magnitudes[i]! * 2e-6);
          }
        }
        expect(bench.u8.slice(after, after + 64)).toEqual(new Uint8Array(64).fill(0x55));
      }
    },
  );
});
