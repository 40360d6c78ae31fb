// How fast WebAssembly reads memory in order, on one thread and on several: the limit of one-token steps, which read
// every weight once. One JSON line each: node bench/bandwidth.mjs [THREADS...]
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import asc from 'assemblyscript/asc';

/** Far more than any cache. */
const BYTES = 2 ** 30;
const ROUNDS = 7;

/** Adds up the vectors of `[from, to)`, whose length is a multiple of 128, in eight independent sums. */
const SOURCE = `
export function sum(from: usize, to: usize): i32 {
  let a = i32x4.splat(0), b = a, c = a, d = a, e = a, f = a, g = a, h = a;
  for (; from < to; from += 128) {
    a = i32x4.add(a, v128.load(from));
    b = i32x4.add(b, v128.load(from, 16));
    c = i32x4.add(c, v128.load(from, 32));
    d = i32x4.add(d, v128.load(from, 48));
    e = i32x4.add(e, v128.load(from, 64));
    f = i32x4.add(f, v128.load(from, 80));
    g = i32x4.add(g, v128.load(from, 96));
    h = i32x4.add(h, v128.load(from, 112));
  }
  a = i32x4.add(i32x4.add(i32x4.add(a, b), i32x4.add(c, d)), i32x4.add(i32x4.add(e, f), i32x4.add(g, h)));
  return i32x4.extract_lane(a, 0) + i32x4.extract_lane(a, 1) + i32x4.extract_lane(a, 2) + i32x4.extract_lane(a, 3);
}`;

/** Bytes a second that `threads` threads together read, each its part of a memory: the best of several rounds. */
export async function readBandwidth(threads) {
  const pages = BYTES / 65536;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  // Memory that was never written is one page of zeros.
  new Uint32Array(memory.buffer).fill(1);
  const module = await WebAssembly.compile(await compileSum(pages));
  const part = Math.floor(BYTES / threads / 128) * 128;
  const workers = Array.from({ length: threads }, (_, i) => {
    const data = { bandwidth: { module, memory, from: i * part, to: (i + 1) * part } };
    return new Worker(fileURLToPath(import.meta.url), { workerData: data });
  });
  const round = async () => {
    const answers = workers.map((worker) => once(worker, 'message'));
    for (const worker of workers) worker.postMessage('go');
    const times = (await Promise.all(answers)).map(([time]) => time);
    const seconds = Math.max(...times.map(({ end }) => end)) - Math.min(...times.map(({ start }) => start));
    return (part * threads) / (seconds / 1000);
  };
  await Promise.all(workers.map((worker) => once(worker, 'online')));
  let best = 0;
  for (let i = 0; i < ROUNDS; i++) best = Math.max(best, await round());
  await Promise.all(workers.map((worker) => worker.terminate()));
  return best;
}

async function compileSum(pages) {
  const { binary, error, stderr } = await asc.compileString(SOURCE, {
    runtime: 'stub',
    enable: ['simd', 'threads'],
    optimizeLevel: 3,
    noAssert: true,
    importMemory: true,
    sharedMemory: true,
    initialMemory: pages,
    maximumMemory: pages,
  });
  if (error) throw new Error(`the sum was not compiled: ${stderr}`);
  return binary;
}

if (workerData?.bandwidth) {
  const { module, memory, from, to } = workerData.bandwidth;
  const { sum } = new WebAssembly.Instance(module, { env: { memory } }).exports;
  // Workers' clocks start at different times.
  const now = () => performance.timeOrigin + performance.now();
  parentPort.on('message', () => {
    const start = now();
    sum(from, to);
    parentPort.postMessage({ start, end: now() });
  });
} else if (isMainThread && process.argv[1] === fileURLToPath(import.meta.url)) {
  const counts = process.argv.length > 2 ? process.argv.slice(2).map(Number) : [1, 2];
  for (const threads of counts) {
    const gigabytes = Number(((await readBandwidth(threads)) / 1e9).toPrecision(3));
    console.log(JSON.stringify({ read: 'in order', threads, gigabytesPerSecond: gigabytes }));
  }
}
