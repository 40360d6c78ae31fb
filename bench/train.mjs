// Cria's training beside PyTorch's on nano-scout, in turns: every weight, and LoRA of attention and shared experts, in
// Cria on a quantized base too. Prints a JSON line for each process, then the ratios.
//   node bench/train.mjs [--python python3] [--rounds 3] [--steps 6] [-t 2] [--batch 8] [--length 256]
//                        [--base Q4_K_M] [--tuning full,lora] [--grouped]
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { openModel } from '../dist/convert/open-model.js';
import { tokenizerFromGguf } from '../dist/model/tokenizer/index.js';
import { processBytes } from '../dist/train/process-memory.js';

const { values } = parseArgs({
  options: {
    python: { type: 'string', default: 'python3' },
    rounds: { type: 'string', default: '3' },
    warmup: { type: 'string', default: '2' },
    steps: { type: 'string', default: '6' },
    threads: { type: 'string', short: 't', default: '2' },
    batch: { type: 'string', default: '8' },
    length: { type: 'string', default: '256' },
    base: { type: 'string', default: 'Q4_K_M' },
    tuning: { type: 'string', default: 'full,lora' },
    grouped: { type: 'boolean', default: false },
  },
});
const path = (name) => fileURLToPath(new URL(name, import.meta.url));
const NANO = path('../models/nano-scout');
const folder = mkdtempSync(join(tmpdir(), 'cria-bench-train-'));
const numbers = Object.fromEntries(
  ['threads', 'batch', 'length', 'warmup', 'steps'].map((name) => [name, Number(values[name])]),
);

function run(program, args) {
  const { stdout, status, error } = spawnSync(program, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', process.env.DEBUG ? 'inherit' : 'ignore'],
  });
  if (error || status !== 0)
    throw new Error(`${program} ${args.join(' ')}: ${error ?? `ended with ${status}`}`);
  return stdout.trim().split('\n').at(-1);
}

function cria(tuning, file, ids) {
  return JSON.parse(
    run(process.execPath, [path('train-child.mjs'), JSON.stringify({ ...numbers, tuning, file, ids })]),
  );
}

function pyTorch(tuning, ids, experts) {
  const settings = Object.entries(numbers).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const choices = ['--tuning', tuning, '--experts', experts, '--ids', ids];
  return JSON.parse(run(values.python, [path('peers/train.py'), ...choices, ...settings]));
}

const median = (list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)];

try {
  const ids = join(folder, 'ids.json');
  const source = await openModel(NANO);
  const tokens = tokenizerFromGguf(source.metadata).encode(
    readFileSync(join(NANO, 'calibration.txt'), 'utf8'),
  );
  await source.close();
  writeFileSync(ids, JSON.stringify([...tokens]));
  const quantized = join(folder, `nano-scout-${values.base}.gguf`);
  const engines = {
    full: { Cria: () => cria('full', NANO, ids) },
    lora: {
      Cria: () => cria('lora', NANO, ids),
      [`Cria on ${values.base}`]: () => cria('lora', quantized, ids),
    },
  };
  if (values.tuning.includes('lora')) {
    run(process.execPath, [
      path('../dist/cli/main.js'),
      'quantize',
      NANO,
      '-o',
      quantized,
      '--type',
      values.base,
    ]);
  }
  for (const tuning of values.tuning.split(',')) {
    const contestants = {
      ...engines[tuning],
      PyTorch: () => pyTorch(tuning, ids, 'reference'),
      ...(values.grouped ? { 'PyTorch, experts grouped': () => pyTorch(tuning, ids, 'grouped') } : {}),
    };
    const rounds = [];
    for (let round = 0; round < Number(values.rounds); round++) {
      const names = Object.keys(contestants);
      const results = {};
      for (const name of round % 2 === 0 ? names : names.toReversed()) {
        const load = loadavg()[0];
        results[name] = contestants[name]();
        console.log(JSON.stringify({ round, tuning, name, load, ...results[name] }));
      }
      rounds.push(results);
    }
    const [first] = rounds;
    for (const name of Object.keys(first)) {
      const ratios = rounds.map((results) => results[name].tokensPerSecond / results.PyTorch.tokensPerSecond);
      const { losses, memory } = first[name];
      const planned =
        memory && Object.values(memory).reduce((sum, bytes) => sum + bytes, processBytes(numbers.threads));
      console.log(
        JSON.stringify({
          tuning,
          name,
          tokensPerSecond: Math.round(median(rounds.map((results) => results[name].tokensPerSecond))),
          ratioToPyTorch: [Math.min(...ratios), median(ratios), Math.max(...ratios)].map((r) =>
            Number(r.toFixed(3)),
          ),
          peakMB: Math.round(median(rounds.map((results) => results[name].peakBytes)) / 1e6),
          plannedMB: planned && Math.round(planned / 1e6),
          lossDifference: Math.max(...losses.map((loss, i) => Math.abs(loss - first.PyTorch.losses[i]))),
        }),
      );
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
