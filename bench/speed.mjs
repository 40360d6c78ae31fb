// Cria and llama.cpp on the same GGUF files, alternating: one JSON line a run, then one a file with ratios.
// See bench/README.md.
import { execFileSync } from 'node:child_process';
import { cpus, loadavg } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { positionals: files, values } = parseArgs({
  allowPositionals: true,
  options: {
    threads: { type: 'string', short: 't', default: '2' },
    rounds: { type: 'string', default: '5' },
    prompt: { type: 'string', short: 'p', default: '512' },
    new: { type: 'string', short: 'n', default: '64' },
    'flash-attention': { type: 'string', default: 'auto' },
  },
});
if (files.length === 0)
  throw new Error('usage: node speed.mjs [-t THREADS] [--rounds N] [-p TOKENS] [-n TOKENS] FILE...');

const rounds = Number(values.rounds);
const child = fileURLToPath(new URL('speed-child.mjs', import.meta.url));
const machine = { cpu: cpus()[0].model, processors: cpus().length, node: process.version };

for (const file of files) {
  const pairs = Array.from({ length: rounds }, (_, round) => {
    // Neither engine always goes first.
    const order = round % 2 === 0 ? ['cria', 'llama.cpp'] : ['llama.cpp', 'cria'];
    return Object.fromEntries(order.map((engine) => [engine, run(engine, file, round)]));
  });
  const best = (engine) => ({
    prompt: Math.max(...pairs.map((pair) => pair[engine].prompt)),
    generation: Math.max(...pairs.map((pair) => pair[engine].generation)),
  });
  const ratio = (of) => spread(pairs.map((pair) => of(pair.cria, pair['llama.cpp'])));
  const median = (key) => ({
    cria: spread(pairs.map((pair) => pair.cria[key])).median,
    llamaCpp: spread(pairs.map((pair) => pair['llama.cpp'][key])).median,
  });
  print({
    file,
    ...machine,
    threads: Number(values.threads),
    rounds,
    flashAttention: values['flash-attention'],
    medians: Object.fromEntries(
      ['prompt', 'generation', 'loadSeconds', 'peakRss'].map((key) => [key, median(key)]),
    ),
    // On a busy machine the best round says more than the median.
    best: { cria: best('cria'), llamaCpp: best('llama.cpp') },
    // Cria / llama.cpp: above 1, Cria is faster, but takes more time to load and more memory.
    ratios: {
      prompt: ratio((cria, peer) => cria.prompt / peer.prompt),
      generation: ratio((cria, peer) => cria.generation / peer.generation),
      promptToOwnTimer: ratio((cria, peer) => cria.prompt / peer.ownPrompt),
      generationToOwnTimer: ratio((cria, peer) => cria.generation / peer.ownGeneration),
      loadSeconds: ratio((cria, peer) => cria.loadSeconds / peer.loadSeconds),
      peakRss: ratio((cria, peer) => cria.peakRss / peer.peakRss),
    },
  });
}

/** One run of an engine in a process of its own; prints and returns what it measured. */
function run(engine, file, round) {
  const load = Number(loadavg()[0].toFixed(2));
  const args = [child, engine, file, values.threads, values.prompt, values.new, values['flash-attention']];
  const result = JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' }));
  print({ engine, file, round, load, ...result });
  return result;
}

function spread(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
  return { min: sorted[0], median: middle, max: sorted.at(-1) };
}

/** One JSON line, with four digits of fractions. */
function print(record) {
  console.log(
    JSON.stringify(record, (_, value) =>
      typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(4)) : value,
    ),
  );
}
