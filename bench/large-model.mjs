// Loads a model larger than one WebAssembly memory and runs it: load time, bytes a second, progress, tokens per second
// and peak memory against the size of the file. One JSON line. See bench/README.md.
import { existsSync, mkdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { loadModel } from '../dist/generate/load-model.js';
import { planSlice, writeSlice } from './slices.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    recipe: { type: 'string', default: 'UD-Q2_K_XL' },
    gib: { type: 'string', default: '12' },
    threads: { type: 'string', short: 't', default: '2' },
    dir: { type: 'string', default: join(tmpdir(), 'cria-bench') },
    keep: { type: 'boolean', default: false },
  },
});

const path = positionals[0] ?? (await makeSlice(Number(values.gib) * 2 ** 30));
const { size } = statSync(path);
const steps = new Set();
const started = performance.now();
const model = await loadModel(path, {
  threads: Number(values.threads),
  contextSize: 1024,
  onProgress: (done, total) => {
    const step = Math.floor((10 * done) / total);
    if (!steps.has(step)) process.stderr.write(`loaded ${step * 10} % after ${lap().toFixed(1)} s\n`);
    steps.add(step);
  },
});
const loadSeconds = lap();

const prompt = Array.from({ length: 64 }, (_, i) => (i * 769) % model.vocabSize);
let mark = performance.now();
let logits = await model.evaluate(prompt, 0, 'last');
const promptRate = 64_000 / (performance.now() - mark);
mark = performance.now();
for (let i = 0; i < 8; i++)
  logits = await model.evaluate([logits.indexOf(Math.max(...logits))], 64 + i, 'last');
const generationRate = 8000 / (performance.now() - mark);
const peak = peakRss();
console.log(
  JSON.stringify({
    layers: model.config.layerCount,
    fileBytes: size,
    finite: logits.every(Number.isFinite),
    loadSeconds: rounded(loadSeconds),
    megabytesPerSecond: rounded(size / 1e6 / loadSeconds),
    prompt: rounded(promptRate),
    generation: rounded(generationRate),
    peakRss: peak,
    peakToFile: rounded(peak / size),
  }),
);
await model.close();
if (positionals.length === 0 && !values.keep) rmSync(path);

/** A scout-slice of at least `bytes`, or the next layer's end. */
async function makeSlice(bytes) {
  const [four, five] = [
    await planSlice('scout-slice', values.recipe, 4),
    await planSlice('scout-slice', values.recipe, 5),
  ];
  const perLayer = five.bytes - four.bytes;
  const slice = await planSlice('scout-slice', values.recipe, 4 + Math.ceil((bytes - four.bytes) / perLayer));
  mkdirSync(values.dir, { recursive: true });
  const file = join(values.dir, `${slice.name}-${slice.config.layerCount}.gguf`);
  if (!existsSync(file)) await writeSlice(file, slice);
  return file;
}

function lap() {
  return (performance.now() - started) / 1000;
}

function peakRss() {
  return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) * 1024;
}

function rounded(x) {
  return Number(x.toPrecision(4));
}
