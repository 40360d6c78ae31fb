// Speed of the unpack kernels on one thread, data in cache: one JSON line per type and build.
// Run after `npm run build`: node bench/unpack.mjs [dot|relaxed|plain] [type ...]
import { bestSimdBuild, compileKernels, instantiateKernels } from '../dist/engine/kernels.js';
import { ggmlType, parseGgmlType } from '../dist/formats/ggml-types.js';
import { WEIGHT_TYPES } from '../dist/quant/index.js';
import { kernelTables } from '../dist/quant/kernel-tables.js';

const WEIGHTS = 5120;
const TABLES = 1024;
const SOURCE = 2 * 65536;
const CODES = 3 * 65536;
const SCALES = 4 * 65536;
const MINS = SCALES + 32768;
const SECONDS = 0.25;

const arguments_ = process.argv.slice(2);
const build = ['dot', 'relaxed', 'plain'].includes(arguments_[0])
  ? arguments_.shift()
  : await bestSimdBuild();
const types = arguments_.length > 0 ? arguments_.map(parseGgmlType) : WEIGHT_TYPES;

const memory = new WebAssembly.Memory({ initial: 5, maximum: 65536, shared: true });
const heap = new Uint8Array(memory.buffer);
heap.set(kernelTables(), TABLES);
const kernels = instantiateKernels(await compileKernels(build), memory, TABLES);

// Arbitrary bytes from a fixed generator, for equal work in each run.
let state = 1;
const arbitraryBytes = Uint8Array.from({ length: 32768 }, () => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state >>> 24;
});
// Floats of all types of the magnitude of weights: a special half takes a slower path.
const weightBytes = arbitraryBytes.map((byte, i) => (i % 2 === 1 ? (byte & 0x87) | 0x20 : byte));

for (const type of types) {
  const { id, blockSize } = ggmlType(type);
  heap.set(blockSize === 1 ? weightBytes : arbitraryBytes, SOURCE);
  const unpackRow =
    blockSize === 1
      ? () => kernels.unpackFloat(id, SOURCE, CODES, WEIGHTS)
      : () => kernels.unpack(id, SOURCE, CODES, SCALES, MINS, WEIGHTS / blockSize);
  const rate = Math.max(...Array.from({ length: 4 }, () => measure(unpackRow)));
  console.log(JSON.stringify({ type, build, millionWeightsPerSecond: Math.round(rate / 1e6) }));
}

/** Weights per second of a call that unpacks one row. */
function measure(unpackRow) {
  const begin = performance.now();
  let rows = 0;
  let elapsed = 0;
  while (elapsed < SECONDS * 1000) {
    for (let i = 0; i < 100; i++) {
      unpackRow();
    }
    rows += 100;
    elapsed = performance.now() - begin;
  }
  return (rows * WEIGHTS) / (elapsed / 1000);
}
