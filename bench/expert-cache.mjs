// Speed of a model whose experts are read from the file as needed, beside the disk's own. See bench/README.md.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { loadavg } from 'node:os';
import { resourceUsage } from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { parseByteSize } from '../dist/base/byte-size.js';
import { configFromMetadata } from '../dist/convert/llama4-config.js';
import { loadModel, openModel } from '../dist/index.js';
import { planModel } from '../dist/model/layout.js';
import { kernelTables } from '../dist/quant/kernel-tables.js';

const TEXT = fileURLToPath(new URL('../models/nano-scout/evaluation.txt', import.meta.url));
/** How often the file's pages are dropped from the page cache while it is being read. */
const FORGET_MS = 500;

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    'cache-experts': { type: 'string' },
    threads: { type: 'string', short: 't', default: '2' },
    prompt: { type: 'string', short: 'p', default: '512' },
    generate: { type: 'string', short: 'n', default: '64' },
    rounds: { type: 'string', default: '3' },
    resident: { type: 'boolean', default: false },
    'keep-page-cache': { type: 'boolean', default: false },
    // Set by this program for the processes it starts.
    mode: { type: 'string' },
  },
});
const [file] = positionals;
if (file === undefined) {
  throw new Error(
    'usage: node expert-cache.mjs FILE [--cache-experts SIZE] [-t N] [-p N] [-n N] [--rounds N] [--resident] [--keep-page-cache]',
  );
}
const promptTokens = Number(values.prompt);
const newTokens = Number(values.generate);
const dropPages = !values['keep-page-cache'];

if (values.mode) console.log(JSON.stringify(await measure(values.mode)));
else compare();

/** Runs each mode in processes of its own, alternating, and prints what each gave. */
function compare() {
  const modes = [...(values.resident ? ['resident'] : []), 'on-demand', 'read-ahead'];
  console.log(
    JSON.stringify({ file, fileBytes: statSync(file).size, diskMBps: diskRate(), load: loadavg() }),
  );
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const mode of modes) {
      const args = [...process.argv.slice(1), '--mode', mode];
      const { stdout, status } = spawnSync(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
      if (status !== 0) throw new Error(`the process for ${mode} ended with ${status}`);
      console.log(JSON.stringify({ mode, ...JSON.parse(stdout), load: loadavg()[0] }));
    }
  }
}

async function measure(mode) {
  // Half the file's size for everything that is in memory, unless told otherwise.
  const text = values['cache-experts'];
  const bytes = text ? parseByteSize(text) : await roomWithin(statSync(file).size / 2);
  const model = await open(
    mode === 'resident' ? {} : { cacheExperts: bytes, readAhead: mode === 'read-ahead' },
  );
  const ids = model.tokenizer.encode(readFileSync(TEXT, 'utf8').slice(0, 20 * (promptTokens + newTokens)), {
    addBos: true,
  });
  forget();
  const forgetting = dropPages && mode !== 'resident' ? setInterval(forget, FORGET_MS) : undefined;
  const prompt = await part(model, () => model.evaluate(ids.slice(0, promptTokens), 0, 'last'), promptTokens);
  const generation = await part(
    model,
    async () => {
      // Tokens of a text rather than the likeliest ones: random weights soon repeat themselves.
      for (let at = promptTokens; at < promptTokens + newTokens; at++) {
        await model.evaluate([ids[at]], at, 'last');
      }
    },
    newTokens,
  );
  clearInterval(forgetting);
  const planned = Object.values(model.memory).reduce((sum, part) => sum + part, 0);
  await model.close();
  return { planned, peakRss: resourceUsage().maxRSS * 1024, prompt, generation };
}

function open(options) {
  const contextSize = promptTokens + newTokens;
  return loadModel(file, { threads: Number(values.threads), contextSize, ...options });
}

/** Bytes that are left for experts when all that is in memory is to take `total`. */
async function roomWithin(total) {
  const source = await openModel(file);
  const plan = planModel(configFromMetadata(source.metadata, source.tensors), source.tensors, {
    threads: Number(values.threads),
    batchSize: Math.min(512, promptTokens + newTokens),
    contextSize: promptTokens + newTokens,
    cacheType: 'f16',
    tablesBytes: kernelTables().length,
    expertCache: { bytes: total, readAhead: true },
  });
  await source.close();
  const planned = Object.values(plan.bytes).reduce((sum, bytes) => sum + bytes, 0);
  return total - (planned - plan.bytes.expertCache);
}

async function part(model, work, tokens) {
  const before = model.expertCache;
  const diskBefore = bytesFromDisk();
  const started = performance.now();
  await work();
  const seconds = (performance.now() - started) / 1000;
  const rate = { tokensPerSecond: tokens / seconds };
  if (!before) return rate;
  const delta = Object.fromEntries(
    Object.entries(model.expertCache).map(([key, value]) => [key, value - before[key]]),
  );
  const share = (count) => count / delta.requests;
  return {
    ...rate,
    hitRate: share(delta.hits),
    predictedRate: share(delta.predicted),
    requests: delta.requests,
    readAhead: delta.readAhead,
    readMBps: delta.bytesRead / 1e6 / seconds,
    diskMBps: (bytesFromDisk() - diskBefore) / 1e6 / seconds,
    waitingShare: delta.secondsWaited / seconds,
  };
}

/** What this process made the disk read so far, read-ahead of the system included. */
function bytesFromDisk() {
  return Number(/^read_bytes: (\d+)/m.exec(readFileSync('/proc/self/io', 'utf8'))[1]);
}

/** Drops the file's pages from the page cache, so that they come from the disk when they are read again. */
function forget() {
  if (dropPages) spawn('dd', [`if=${file}`, 'iflag=nocache', 'count=0', 'status=none']);
}

/** MB/s of reading the file past the page cache, from its start to 2 GiB at most. */
function diskRate() {
  const started = performance.now();
  execFileSync('dd', [`if=${file}`, 'of=/dev/null', 'iflag=direct', 'bs=4M', 'count=512', 'status=none']);
  const bytes = Math.min(statSync(file).size, 2 ** 31);
  return bytes / 1000 / (performance.now() - started);
}
