// Speed of the training products on one thread, in billions of multiply-adds a second: one JSON line per shape, the
// best of several rounds. Run after `npm run build`: node bench/train-kernels.mjs [relaxed|plain]
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
const ROUNDS = 7;
const ROUND_MS = 60;

const build = process.argv[2] ?? (await bestTrainBuild());
const PAGES = 2048;
const memory = new WebAssembly.Memory({ initial: PAGES, maximum: PAGES, shared: true });
const kernels = instantiateTrainKernels(await compileTrainKernels(build), memory);
const f32 = new Float32Array(memory.buffer);

let end = 65536;
const scratch = allocate(kernels.productScratchBytes() / 4);
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
