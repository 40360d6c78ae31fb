import { beforeAll, expect, it } from 'vitest';
import { ggmlType, rowBytes } from '../formats/ggml-types.js';
import { blockFormat, WEIGHT_TYPES } from '../quant/index.js';
import { PANEL_ROWS, packedActivations, packedForm, packedPanelBytes } from '../quant/packed-layout.js';
import { codeRange, hasMins, unpackedGroup } from '../quant/unpacked-layout.js';
import { ARENA_LIMIT } from './arena-plan.js';
import { laneScratchBytes } from './operations.js';
import { BYTE_BLOCK, WORD_BLOCK } from './products.js';
import { describeBuilds, KernelBench, randomFloats } from './testing/kernel-bench.js';

// Addresses are numbers here and signed 32-bit integers in the machine: products of weights that lie across 2^31, and
// up to the last that an arena uses below 2^32, are those of the same weights lower down.

const COLUMNS = 512;
const ROWS = PANEL_ROWS;
const TOKENS = 5;

describeBuilds('weights at high addresses', (build) => {
  let bench: KernelBench;
  let scratch: number;
  beforeAll(async () => {
    // Only pages that are touched are taken from the system.
    bench = await KernelBench.create(build, ARENA_LIMIT / 65_536);
    scratch = bench.allocate(laneScratchBytes(COLUMNS, 32, 1));
  });

  const places = (bytes: number) => ({
    low: bench.allocate(bytes),
    across: 2 ** 31 - Math.floor(bytes / 128) * 64,
    // Arenas leave the last 64 bytes free.
    last: 2 ** 32 - 64 - Math.ceil(bytes / 64) * 64,
  });

  function activations(bytes: boolean, tokens: number): number {
    const size = bytes ? BYTE_BLOCK : WORD_BLOCK;
    const x = bench.floats(randomFloats(tokens * COLUMNS, 3));
    const blocks = bench.allocate(((tokens * COLUMNS) / 32) * size);
    for (let t = 0; t < tokens; t++) {
      const from = x + t * COLUMNS * 4;
      bench.kernels.quantizeActivations(from, Number(bytes), blocks + t * size, tokens * size, COLUMNS / 32);
    }
    return blocks;
  }

  it.each(WEIGHT_TYPES)('%s', (type) => {
    const { id, blockSize } = ggmlType(type);
    const size = rowBytes(type, COLUMNS);
    const stored = new Uint8Array(size * ROWS);
    // Blocks without an encoder: any bytes that make small finite numbers.
    const encode = blockFormat(type).encode;
    if (encode) encode(randomFloats(ROWS * COLUMNS, 1), stored, COLUMNS, new Float32Array(COLUMNS).fill(1));
    else stored.fill(0x21);

    const y = bench.allocate(TOKENS * ROWS * 4);
    const compare = (bytes: number, write: (at: number) => void, multiply: (at: number) => void) => {
      const { low, ...high } = places(bytes);
      const at = (address: number) => {
        write(address);
        bench.f32.fill(Number.NaN, y / 4, y / 4 + TOKENS * ROWS);
        multiply(address);
        return bench.read(y, TOKENS * ROWS);
      };
      const expected = at(low);
      for (const address of Object.values(high)) expect(at(address)).toEqual(expected);
    };
    const copy = (address: number) => bench.u8.set(stored, address);

    if (blockSize === 1) {
      const x = bench.floats(randomFloats(TOKENS * COLUMNS, 3));
      for (const tokens of [1, TOKENS]) {
        compare(stored.length, copy, (w) =>
          bench.kernels.matmulFloat(id, w, size, ROWS, COLUMNS, x, tokens, y, ROWS * 4, 0, scratch),
        );
      }
      return;
    }
    const { min, max } = codeRange(type);
    const blocks = COLUMNS / blockSize;
    const group = unpackedGroup(type);
    for (const tokens of [1, TOKENS]) {
      const x = activations(max - min <= bench.kernels.greatestCode(), tokens);
      const mins = Number(hasMins(type));
      compare(stored.length, copy, (w) =>
        bench.kernels.matmulQuantized(
          id,
          w,
          size,
          ROWS,
          COLUMNS,
          blocks,
          group,
          mins,
          min,
          max,
          x,
          tokens,
          y,
          ROWS * 4,
          0,
          scratch,
        ),
      );
    }
    for (const mode of ['lean', 'full'] as const) {
      const form = packedForm(type, mode);
      if (form === 0) continue;
      const source = bench.bytes(stored);
      const pack = (at: number) => bench.kernels.packPanel(form, source, size, COLUMNS, at, scratch);
      for (const tokens of [1, TOKENS]) {
        const x = activations(packedActivations(form, bench.kernels.greatestCode()) === 'bytes', tokens);
        compare(packedPanelBytes(form, COLUMNS), pack, (panels) =>
          bench.kernels.multiplyPanels(form, panels, 1, COLUMNS, x, tokens, y, ROWS * 4, 0, scratch),
        );
      }
    }
  });
});
