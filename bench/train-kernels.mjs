// Speed of the training kernels on one thread of processor time, the best of several rounds, one JSON line per case:
// products and attention in billions of multiply-adds a second, the others in nanoseconds per element. Run after
// `npm run build`: node bench/train-kernels.mjs [relaxed|plain]
import { EIGHT_BIT_TABLES_BYTES, eightBitTables } from '../dist/train/eight-bit-maps.js';
import { bestTrainBuild, compileTrainKernels, instantiateTrainKernels } from '../dist/train/kernels.js';

/** [what, tokens, rows, columns] of y = x Wᵀ, W [rows, columns]. */
const SHAPES = [
  ['nano-scout, attention', 2048, 256, 256],
  ['nano-scout, key', 2048, 64, 256],
  ['nano-scout, an expert', 256, 256, 256],
  ['nano-scout, dense', 2048, 512, 256],
  ['nano-scout, head', 512, 4096, 256],
  ['LoRA, A', 2048, 8, 256],
  ['LoRA, B', 2048, 256, 8],
  ['few tokens', 3, 256, 256],
  ['Scout, a lane of attention', 512, 640, 5120],
  ['Scout, a lane of an expert', 64, 1024, 5120],
  ['Scout, LoRA, A', 512, 8, 5120],
  ['Scout, LoRA, B', 512, 5120, 8],
];
/** [what, query heads of a key/value head, tokens, head size] */
const ATTENTION = [
  ['nano-scout, attention', 4, 256, 32],
  ['Scout, attention', 5, 512, 128],
];
const ROUNDS = 7;
const ROUND_MS = 60;

const build = process.argv[2] ?? (await bestTrainBuild());
const PAGES = 2048;
const memory = new WebAssembly.Memory({ initial: PAGES, maximum: PAGES, shared: true });
const kernels = instantiateTrainKernels(await compileTrainKernels(build), memory);
const f32 = new Float32Array(memory.buffer);

let end = 65536;
const scratch = allocate(kernels.attentionScratchBytes() / 4);
const start = end;
for (const [what, tokens, rows, columns] of SHAPES) {
  end = start;
  const x = floats(tokens * columns);
  const w = floats(rows * columns);
  const y = floats(tokens * rows);
  const speeds = {
    NT: speed(() => kernels.productNT(x, columns, w, columns, y, rows, tokens, rows, columns, 0, scratch)),
    NN: speed(() => kernels.productNN(y, rows, w, columns, x, columns, tokens, rows, columns, 0, scratch)),
    TN: speed(() => kernels.productTN(y, rows, x, columns, w, columns, tokens, rows, columns, scratch)),
  };
  const work = (tokens * rows * columns) / 1e9;
  const gmacs = Object.fromEntries(
    Object.entries(speeds).map(([product, seconds]) => [product, Number((work / seconds).toFixed(2))]),
  );
  console.log(JSON.stringify({ build, what, tokens, rows, columns, ...gmacs }));
}

for (const [what, heads, tokens, dim] of ATTENTION) {
  end = start;
  const [q, out, dOut, dq] = [0, 0, 0, 0].map(() => floats(tokens * heads * dim));
  const [k, v, dk, dv] = [0, 0, 0, 0].map(() => floats(tokens * dim));
  const sums = floats(heads * tokens);
  const shape = [heads, tokens, dim, 0, scratch];
  const forward = speed(() => kernels.attentionForward(q, heads * dim, k, v, dim, out, sums, ...shape));
  const backward = speed(() =>
    kernels.attentionBackward(q, heads * dim, k, v, dim, out, dOut, sums, dq, dk, dv, ...shape),
  );
  // Of a causal half.
  const pairs = (heads * tokens * (tokens + 1)) / 2 / 1e9;
  const gmacs = (products, seconds) => Number(((products * pairs * dim) / seconds).toFixed(2));
  console.log(
    JSON.stringify({
      build,
      what,
      heads,
      tokens,
      dim,
      forward: gmacs(2, forward),
      backward: gmacs(5, backward),
    }),
  );
}

const N = 65536;
end = start;
const [a, b, c, d] = [0, 0, 0, 0].map(() => floats(N));
const tables = allocate(EIGHT_BIT_TABLES_BYTES / 4);
new Uint8Array(memory.buffer).set(eightBitTables(), tables);
f32.fill(1e-4, d / 4, d / 4 + N);
const [m, v, mScales, vScales] = [N, N, N / 64, N / 64].map((bytes) => allocate(bytes / 4));
const step = [1e-3, 0.9, 0.999, 1e-8, 0.01, 0.1, 0.001, 1];
const elementwise = {
  rmsNormBackward: () => kernels.rmsNormBackward(a, b, c, d, N, 1e-5, 0),
  siluMultiply: () => kernels.siluMultiply(a, b, c, N),
  siluMultiplyBackward: () => kernels.siluMultiplyBackward(a, b, c, d, d, N),
  dropout: () => kernels.dropout(a, c, N, 1.1, 2 ** 28, 1, 2, 3),
  crossEntropy: () => kernels.crossEntropy(d, 3, 1, N),
  sumOfSquares: () => kernels.sumOfSquares(a, N),
  adamw: () => kernels.adamw(a, b, c, d, N, ...step),
  adamw8bit: () => kernels.adamw8bit(a, b, m, v, mScales, vScales, N, ...step, tables, scratch),
};
for (const [kernel, call] of Object.entries(elementwise)) {
  console.log(JSON.stringify({ build, kernel, nanoseconds: Number(((speed(call) / N) * 1e9).toFixed(3)) }));
}

/** Seconds of processor time of one call, in the best round. */
function speed(call) {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    let calls = 0;
    const from = process.cpuUsage();
    const until = performance.now() + ROUND_MS;
    do {
      call();
      calls++;
    } while (performance.now() < until);
    const { user, system } = process.cpuUsage(from);
    best = Math.min(best, (user + system) / 1e6 / calls);
  }
  return best;
}

function allocate(count) {
  const at = end;
  end += Math.ceil((count * 4) / 64) * 64;
  return at;
}

/** Small numbers, so that repeated sums stay finite. */
function floats(count) {
  const at = allocate(count);
  for (let i = 0; i < count; i++) f32[at / 4 + i] = (((i * 2654435761) >>> 8) % 1000) / 1e6 - 5e-4;
  return at;
}
