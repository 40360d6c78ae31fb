// Cria, llama.cpp and wllama on the same GGUF files, alternating: Markdown tables of tokens per second, load times and
// memory. See bench/README.md.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { readBandwidth } from './bandwidth.mjs';
import { benchFile } from './bench-files.mjs';
import { speedTables } from './speed-tables.mjs';

const ALL = [
  'nano-scout:BF16',
  'nano-scout:UD-IQ2_XXS',
  'nano-scout:UD-Q4_K_XL',
  ...['UD-IQ1_S', 'UD-IQ1_M', 'UD-IQ2_XXS', 'UD-Q2_K_XL', 'UD-Q3_K_XL', 'UD-Q4_K_XL', 'Q8_0'].map(
    (recipe) => `scout-slice:${recipe}`,
  ),
];
const QUICK = ['nano-scout:UD-Q4_K_XL', 'scout-slice:UD-IQ2_XXS', 'scout-slice:UD-Q4_K_XL'];

/** Above this, one run of wllama takes minutes. */
const WLLAMA_BYTES = 2 ** 30;

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    threads: { type: 'string', short: 't', default: '2' },
    rounds: { type: 'string', default: '2' },
    prompt: { type: 'string', short: 'p', default: '512' },
    new: { type: 'string', short: 'n', default: '64' },
    engines: { type: 'string', default: 'cria,llama.cpp,wllama' },
    'flash-attention': { type: 'string', default: 'auto' },
    quick: { type: 'boolean', default: false },
    dir: { type: 'string', default: join(tmpdir(), 'cria-bench') },
    keep: { type: 'boolean', default: false },
    node: { type: 'string', default: process.execPath },
    'second-node': { type: 'string' },
    'llama-build': { type: 'string' },
    simd: { type: 'string' },
    repack: { type: 'string' },
    json: { type: 'string' },
  },
});
const names = positionals.length > 0 ? positionals : values.quick ? QUICK : ALL;
const engines = values.engines.split(',');
// The same engines in another form: Cria on a second Node, llama.cpp held to an older processor's instructions.
const secondNode = values['second-node'];
const oldBuild = values['llama-build'];
if (secondNode) engines.push('cria, second Node');
if (oldBuild) engines.push(`llama.cpp ${oldBuild}`);
const threads = Number(values.threads);
const child = fileURLToPath(new URL('speed-child.mjs', import.meta.url));
mkdirSync(values.dir, { recursive: true });

const machine = {
  cpu: cpus()[0].model,
  processors: cpus().length,
  memoryGiB: Math.round(totalmem() / 2 ** 30),
  bandwidth: { 1: await readBandwidth(1), [threads]: await readBandwidth(threads) },
};
const files = names.map((name) => benchFile(name, values.dir));
const results = [];
for (const file of files) {
  progress(`${file.label}: preparing`);
  await file.make?.();
  const runs = measureFile(file);
  results.push({ file: file.label, bytes: statSync(file.path).size, runs });
  // One file at a time: the slices together are as large as the whole model.
  if (file.make && !values.keep) rmSync(file.path);
}

const settings = {
  threads,
  prompt: Number(values.prompt),
  new: Number(values.new),
  rounds: Number(values.rounds),
  flashAttention: values['flash-attention'],
  simd: values.simd ?? 'fastest',
  repack: values.repack ?? 'default',
};
if (values.json) writeFileSync(values.json, `${JSON.stringify({ machine, settings, results }, null, 1)}\n`);
console.log(speedTables({ machine, settings, engines, results }));

/** `{ engine: [measurement, …] }`, or `{ engine: { error } }` where it does not load. */
function measureFile({ label, path }) {
  const runs = Object.fromEntries(engines.map((engine) => [engine, []]));
  for (let round = 0; round < Number(values.rounds); round++) {
    // Neither engine always goes first.
    const order = round % 2 === 0 ? engines : [...engines].reverse();
    for (const engine of order) {
      if (!Array.isArray(runs[engine])) continue;
      const run =
        engine === 'wllama' && statSync(path).size > WLLAMA_BYTES && !positionals.includes(path)
          ? { error: 'not measured above 1 GiB, where it takes minutes' }
          : runEngine(engine, path);
      if (run.error === undefined) {
        runs[engine].push(run);
      } else {
        runs[engine] = run;
      }
      progress(`${label}: ${engine}, round ${round + 1}: ${describe(run)}`);
    }
  }
  return runs;
}

/** One run of an engine in a process of its own. */
function runEngine(engine, file) {
  const [name] = engine.split(/,? /);
  const options = {
    engine: name,
    ...(engine === `llama.cpp ${oldBuild}` && { peers: peersWith(oldBuild) }),
    file,
    threads,
    prompt: Number(values.prompt),
    new: Number(values.new),
    flashAttention: values['flash-attention'],
    cria: { ...(values.simd && { simd: values.simd }), ...(values.repack && { repack: values.repack }) },
  };
  const load = Number(loadavg()[0].toFixed(2));
  const node = engine === 'cria' ? values.node : engine.startsWith('cria,') ? secondNode : process.execPath;
  const { stdout, stderr, status, signal } = spawnSync(node, [child, JSON.stringify(options)], {
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  });
  if (status === 0) return { load, ...JSON.parse(stdout.trim().split('\n').at(-1)) };
  const error = /^(?:\w*Error|GGML_ASSERT|.*CriaError).*$/m.exec(stderr)?.[0];
  return { error: error ?? `ended with ${signal ?? status}` };
}

/** A copy of bench/peers in which llama.cpp finds only the library for one family of processors, as `haswell`. */
function peersWith(family) {
  const folder = join(values.dir, `peers-${family}`);
  if (existsSync(folder)) return folder;
  const source = fileURLToPath(new URL('peers', import.meta.url));
  cpSync(source, folder, { recursive: true, verbatimSymlinks: true });
  const libraries = join(folder, 'node_modules/@node-llama-cpp/linux-x64/bins/linux-x64');
  for (const file of readdirSync(libraries)) {
    if (file.startsWith('libggml-cpu-') && file !== `libggml-cpu-${family}.so`) rmSync(join(libraries, file));
  }
  return folder;
}

function describe({ error, prompt, generation, loadSeconds }) {
  if (error) return error;
  const digits = (x) => x.toPrecision(3);
  return `prompt ${digits(prompt)} t/s, generation ${digits(generation)} t/s, load ${digits(loadSeconds)} s`;
}

function progress(text) {
  process.stderr.write(`${text}\n`);
}
