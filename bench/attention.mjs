// Speed of attention on one thread: how fast one token's queries read a long cache (GB of keys and values a second of
// processor time) and what a block of prompt tokens computes (billions of multiply-adds a second). One JSON line per
// case, the best of several rounds. Run after `npm run build`: node bench/attention.mjs [dot|relaxed|plain]
import { attentionScratchBytes, partialBytes } from '../dist/engine/attention.js';
import { bestSimdBuild, compileKernels, instantiateKernels } from '../dist/engine/kernels.js';
import { ggmlType, rowBytes } from '../dist/formats/ggml-types.js';
import { kernelTables } from '../dist/quant/kernel-tables.js';

const ROUNDS = 7;
const ROUND_MS = 60;
/** As src/engine/attention.ts cuts a past. */
const SPAN = 512;

const build = process.argv[2] ?? (await bestSimdBuild());
await bestSimdBuild();
const PAGES = 4096;
const memory = new WebAssembly.Memory({ initial: PAGES, maximum: PAGES, shared: true });
const floats = new Float32Array(memory.buffer);
const TABLES = 65536;
new Uint8Array(memory.buffer).set(kernelTables(), TABLES);
const kernels = instantiateKernels(await compileKernels(build), memory, TABLES);

// Heads per key/value head, head size: nano-scout, Scout.
for (const [heads, dim] of [
  [4, 32],
  [5, 128],
]) {
  for (const type of ['F32', 'F16', 'Q8_0']) {
    measure(type, heads, dim, 1, 131_072);
    measure(type, heads, dim, 1, 1024);
    measure(type, heads, dim, 16, 4096);
  }
}

function measure(type, heads, dim, tokens, positions) {
  let end = 4 * 65536;
  const allocate = (bytes) => {
    const address = end;
    end += Math.ceil(bytes / 64) * 64;
    return address;
  };
  const { id } = ggmlType(type);
  const size = rowBytes(type, dim);
  const [k, v] = [allocate(size * positions), allocate(size * positions)];
  const source = allocate(dim * 4);
  let state = 1;
  for (let row = 0; row < positions; row++) {
    for (let i = 0; i < dim; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      floats[source / 4 + i] = state / 2 ** 31 - 1;
    }
    kernels.storeCache(id, source, k + row * size, dim);
    kernels.storeCache(id, source, v + row * size, dim);
  }
  const stride = heads * dim * 4;
  const q = allocate(tokens * stride);
  floats.fill(0.1, q / 4, q / 4 + tokens * heads * dim);
  const bytes = partialBytes(tokens, heads, dim);
  const partials = allocate(2 * bytes);
  const scratch = allocate(attentionScratchBytes(heads, dim));
  const past = positions - tokens;
  const once = () => {
    for (let at = 0; at < positions; at += SPAN) {
      const target = at === 0 ? partials : partials + bytes;
      const [keys, values] = [k + at * size, v + at * size];
      kernels.attendSpan(
        id,
        id,
        q,
        stride,
        heads,
        tokens,
        dim,
        keys,
        size,
        values,
        size,
        past - at,
        SPAN,
        target,
        scratch,
      );
      if (at > 0) kernels.foldSpans(partials, target, bytes, 1, heads * tokens, dim, scratch);
    }
  };
  const seconds = best(once);
  console.log(
    JSON.stringify({
      build,
      type,
      heads,
      dim,
      tokens,
      positions,
      gigabytesPerSecond: Number(((2 * size * positions) / seconds / 1e9).toFixed(2)),
      gmacsPerSecond: Number(((2 * heads * dim * tokens * positions) / seconds / 1e9).toFixed(2)),
    }),
  );
}

/** Seconds of processor time of one call: the least of several rounds. */
function best(call) {
  call();
  let least = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    let calls = 0;
    const start = process.cpuUsage();
    let used;
    do {
      call();
      calls++;
      const { user, system } = process.cpuUsage(start);
      used = (user + system) / 1e6;
    } while (used * 1000 < ROUND_MS);
    least = Math.min(least, used / calls);
  }
  return least;
}
