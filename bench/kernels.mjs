// Speed of the product kernels on one thread: one JSON line per case, in billions of multiply-adds a
// second of processor time, the best of several rounds. Run after `npm run build`:
// node bench/kernels.mjs [dot|relaxed|plain] [TYPE ...]
import { bestSimdBuild, compileKernels, instantiateKernels } from '../dist/engine/kernels.js';
import { laneScratchBytes } from '../dist/engine/operations.js';
import { BYTE_BLOCK, WORD_BLOCK } from '../dist/engine/products.js';
import { ggmlType, parseGgmlType, rowBytes } from '../dist/formats/ggml-types.js';
import { kernelTables } from '../dist/quant/kernel-tables.js';
import { codeRange, hasMins, unpackedGroup } from '../dist/quant/unpacked-layout.js';

/** One type for each kind of inner loop and of unpacking. */
const TYPES = [
  'BF16',
  'Q8_0',
  'Q4_0',
  'Q4_K',
  'Q5_K',
  'Q6_K',
  'Q2_K',
  'IQ3_XXS',
  'IQ2_XXS',
  'IQ1_M',
  'IQ4_XS',
];
const ROUNDS = 7;
const ROUND_MS = 60;

const arguments_ = process.argv.slice(2);
const build = ['dot', 'relaxed', 'plain'].includes(arguments_[0])
  ? arguments_.shift()
  : await bestSimdBuild();
const names = arguments_.length > 0 ? arguments_ : TYPES;

const PAGES = 2048;
const memory = new WebAssembly.Memory({ initial: PAGES, maximum: PAGES, shared: true });
const heap = new Uint8Array(memory.buffer);
const TABLES = 65536;
heap.set(kernelTables(), TABLES);
const kernels = instantiateKernels(await compileKernels(build), memory, TABLES);

let end = 3 * 65536;
for (const name of names) {
  for (const columns of [256, 5120]) {
    for (const tokens of [1, 6, 32, 512]) measureProduct(parseGgmlType(name), columns, tokens);
  }
}

function measureProduct(type, columns, tokens) {
  const rows = 128;
  const { id, blockSize } = ggmlType(type);
  const size = rowBytes(type, columns);
  const mark = end;
  const scratch = allocate(laneScratchBytes(columns, 32, 4));
  const w = allocate(size * rows);
  // Only floats must stay ordinary numbers, which their upper bytes ensure.
  fillBytes(w, size * rows, (byte, i) =>
    blockSize === 1 && i % 2 === 1 ? (byte & 0x87) | 0x20 : byte & 0x2f,
  );
  const x = allocate(tokens * columns * 4);
  fillFloats(x, tokens * columns);
  const y = allocate(tokens * rows * 4);
  const { min, max } = blockSize === 1 ? { min: 0, max: 0 } : codeRange(type);
  const bytes = max - min <= kernels.greatestCode();
  const blockBytes = bytes ? BYTE_BLOCK : WORD_BLOCK;
  const blocks = allocate(((tokens * columns) / 32) * blockBytes);
  for (let t = 0; t < tokens; t++) {
    const [from, to] = [x + t * columns * 4, blocks + t * blockBytes];
    kernels.quantizeActivations(from, Number(bytes), to, tokens * blockBytes, columns / 32);
  }
  const multiply =
    blockSize === 1
      ? () => kernels.matmulFloat(id, w, size, rows, columns, x, tokens, y, rows * 4, 0, scratch)
      : () =>
          kernels.matmulQuantized(
            id,
            w,
            size,
            rows,
            columns,
            columns / blockSize,
            unpackedGroup(type),
            Number(hasMins(type)),
            min,
            max,
            blocks,
            tokens,
            y,
            rows * 4,
            0,
            scratch,
          );
  print({ type, columns, tokens, gmacs: best(multiply, rows * columns * tokens) });
  end = mark;
}

/** Billions of operations a second of user time of a call that does `operations`. */
function best(call, operations) {
  let calls = 1;
  const time = () => {
    const start = process.cpuUsage();
    for (let i = 0; i < calls; i++) call();
    return process.cpuUsage(start).user / 1000;
  };
  while (time() < ROUND_MS / 2) calls *= 2;
  const fastest = Math.min(...Array.from({ length: ROUNDS }, time));
  return Number(((operations * calls) / fastest / 1e6).toPrecision(3));
}

function allocate(bytes) {
  const address = end;
  end += Math.ceil(bytes / 64) * 64;
  if (end > heap.length) throw new Error('the bench memory is full');
  return address;
}

function fillFloats(address, count) {
  const floats = new Float32Array(heap.buffer, address, count);
  fill(floats, (bits) => bits / 2 ** 31 - 1);
}

function fillBytes(address, count, of) {
  fill(heap.subarray(address, address + count), (bits, i) => of(bits >>> 24, i));
}

/** Arbitrary numbers from a fixed generator, for equal work in each run. */
function fill(array, of) {
  let state = 1;
  for (let i = 0; i < array.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    array[i] = of(state, i);
  }
}

function print(record) {
  console.log(JSON.stringify({ build, ...record }));
}
