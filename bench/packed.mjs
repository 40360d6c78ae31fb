// Speed of the products of packed weights with one token, on one thread: billions of weights a second of processor
// time, in the second cache and streamed from memory. Run after `npm run build`:
// node bench/packed.mjs [dot|relaxed|plain] [lean|full] [TYPE ...]
import { bestSimdBuild, compileKernels, instantiateKernels } from '../dist/engine/kernels.js';
import { laneScratchBytes } from '../dist/engine/operations.js';
import { BYTE_BLOCK, WORD_BLOCK } from '../dist/engine/products.js';
import { rowBytes } from '../dist/formats/ggml-types.js';
import { WEIGHT_TYPES } from '../dist/quant/index.js';
import { kernelTables } from '../dist/quant/kernel-tables.js';
import { packedActivations, packedForm, packedPanelBytes } from '../dist/quant/packed-layout.js';
import { readBandwidth } from './bandwidth.mjs';
import { RandomBlocks } from './random-blocks.mjs';

const COLUMNS = 5120;
const STREAM_BYTES = 400 * 2 ** 20;
/** Panels of random weights, which then repeat: look-ups must not find the same entries again and again. */
const DIFFERENT = 64;
const ROUNDS = 9;
const ROUND_MS = 60;

const arguments_ = process.argv.slice(2);
const build = ['dot', 'relaxed', 'plain'].includes(arguments_[0])
  ? arguments_.shift()
  : await bestSimdBuild();
const mode = ['lean', 'full'].includes(arguments_[0]) ? arguments_.shift() : 'lean';

const PAGES = 9216;
const memory = new WebAssembly.Memory({ initial: PAGES, maximum: PAGES, shared: true });
const heap = new Uint8Array(memory.buffer);
const TABLES = 65536;
heap.set(kernelTables(), TABLES);
const kernels = instantiateKernels(await compileKernels(build), memory, TABLES);

const bandwidths = { 1: await readBandwidth(1), 2: await readBandwidth(2) };
for (const [threads, bytes] of Object.entries(bandwidths)) {
  console.log(JSON.stringify({ read: 'in order', threads: Number(threads), GBps: significant(bytes / 1e9) }));
}

const random = new RandomBlocks();
let end = 3 * 65536;
for (const type of arguments_.length > 0 ? arguments_ : WEIGHT_TYPES) {
  const form = packedForm(type, mode);
  if (form !== 0) measure(type, form);
}

function measure(type, form) {
  const mark = end;
  const panelBytes = packedPanelBytes(form, COLUMNS);
  const size = rowBytes(type, COLUMNS);
  const bytes = packedActivations(form, kernels.greatestCode()) === 'bytes';
  const scratch = allocate(laneScratchBytes(COLUMNS, 128, 5));
  const source = allocate(size * 8 * DIFFERENT);
  let filled = source;
  for (const piece of random.tensor(type, size * 8 * DIFFERENT)) {
    heap.set(piece, filled);
    filled += piece.length;
  }
  const x = allocate(COLUMNS * 4);
  new Float32Array(heap.buffer, x, COLUMNS).forEach((_, i, f) => {
    f[i] = ((Math.imul(i + 1, 2654435761) >>> 8) & 0xffff) / 32768 - 1;
  });
  const blocks = allocate(512 * (COLUMNS / 32) * WORD_BLOCK);
  const blockBytes = bytes ? BYTE_BLOCK : WORD_BLOCK;
  const y = allocate(64 * 2 ** 20);
  const panels = allocate(STREAM_BYTES + panelBytes);
  const count = Math.floor(STREAM_BYTES / panelBytes);
  const packStart = process.cpuUsage();
  for (let i = 0; i < count; i++)
    kernels.packPanel(
      form,
      source + (i % DIFFERENT) * 8 * size,
      size,
      COLUMNS,
      panels + i * panelBytes,
      scratch,
    );
  const packed = process.cpuUsage(packStart).user;
  const multiply = (n, tokens) =>
    kernels.multiplyPanels(form, panels, n, COLUMNS, blocks, tokens, y, tokens > 1 ? n * 32 : 0, 0, scratch);
  const quantize = (tokens) => {
    for (let t = 0; t < tokens; t++)
      kernels.quantizeActivations(
        x,
        Number(bytes),
        blocks + t * blockBytes,
        tokens * blockBytes,
        COLUMNS / 32,
      );
  };
  quantize(1);
  const near = Math.max(1, Math.floor((640 * 1024) / panelBytes));
  const [weights, all] = [near * 8 * COLUMNS, count * 8 * COLUMNS];
  const cached = best(() => multiply(near, 1), weights);
  const streamed = best(() => multiply(count, 1), all);
  const gigabytes = (streamed * panelBytes) / (8 * COLUMNS);
  quantize(512);
  const prompt = best(() => multiply(near, 512), weights * 512);
  console.log(
    JSON.stringify({
      type,
      form,
      cached,
      streamed,
      GBps: significant(gigabytes),
      ofBandwidth: significant((gigabytes * 1e9) / bandwidths[1]),
      prompt,
      pack: significant(all / packed / 1000),
      bytes: significant(panelBytes / (size * 8)),
    }),
  );
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
  return significant((operations * calls) / fastest / 1e6);
}

function significant(x) {
  return Number(x.toPrecision(3));
}

function allocate(bytes) {
  const address = end;
  end += Math.ceil(bytes / 64) * 64;
  if (end > heap.length) throw new Error('the bench memory is full');
  return address;
}
