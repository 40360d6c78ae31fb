// What speculation saves: the same continuations plain, with a draft model and by look-up, alternating. One JSON line
// a case. See bench/README.md.
import { readFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { LookupDrafter, ModelDrafter } from '../dist/generate/index.js';
import { loadModel } from '../dist/generate/load-model.js';
import { loadDraftModel } from '../dist/generate/speculation/load-draft-model.js';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    draft: { type: 'string', multiple: true, default: [] },
    threads: { type: 'string', short: 't', default: '2' },
    rounds: { type: 'string', default: '5' },
    new: { type: 'string', short: 'n', default: '192' },
    lengths: { type: 'string', default: '2,4,8' },
    ngrams: { type: 'string', default: '3' },
    'p-min': { type: 'string', default: '0.75' },
    prompt: { type: 'string', short: 'p', multiple: true, default: [] },
  },
});
const [file] = positionals;
if (file === undefined) {
  throw new Error(
    'usage: node speculation.mjs [-t THREADS] [--rounds N] [-n TOKENS] [--lengths 2,4,8] [--draft FILE]... FILE',
  );
}
const threads = Number(values.threads);
const maxTokens = Number(values.new);
const lengths = values.lengths.split(',').map(Number);
const source = readFileSync(new URL('../src/model/routing.ts', import.meta.url), 'utf8');
const PROMPTS = {
  prose: 'The water carrier went up the hill in the morning and',
  // What an assistant asked to change a file does: most of the answer is a copy.
  code: `${source}\n\nThe same file again:\n\n${source.slice(0, 300)}`,
  ...Object.fromEntries(values.prompt.map((path) => [path, readFileSync(path, 'utf8')])),
};

const model = await loadModel(file, { threads, contextSize: 4096 });
const cases = { plain: () => undefined };
const open = [model];
for (const path of values.draft) {
  const draft = await loadDraftModel(path, model, { threads });
  open.push(draft);
  for (const length of lengths) {
    cases[`draft ${path.replace(/.*[/-]/, '').replace('.gguf', '')}, at most ${length}`] = () =>
      new ModelDrafter(draft, { maxTokens: length, minProbability: Number(values['p-min']) });
  }
}
for (const ngramSize of values.ngrams.split(',').map(Number)) {
  for (const length of lengths) {
    cases[`look-up of ${ngramSize}, at most ${length}`] = () =>
      new LookupDrafter({ ngramSize, maxTokens: length });
  }
}

for (const [name, text] of Object.entries(PROMPTS)) {
  const prompt = model.tokenizer.encode(text, { addBos: true });
  for (const temperature of [0, 0.6]) {
    const results = Object.fromEntries(Object.keys(cases).map((key) => [key, []]));
    for (let round = 0; round <= Number(values.rounds); round++) {
      for (const [key, drafter] of Object.entries(cases)) {
        const result = await generate(prompt, { temperature, drafter: drafter() }, round);
        // The first round finds cold caches and kernels not yet optimized.
        if (round > 0) results[key].push(result);
      }
    }
    const plain = median(results.plain.map(({ rate }) => rate));
    for (const [key, rounds] of Object.entries(results)) {
      const rate = median(rounds.map((result) => result.rate));
      const sum = (field) => rounds.reduce((total, result) => total + result[field], 0);
      print({
        prompt: name,
        temperature,
        case: key,
        tokensPerSecond: rate,
        ratio: rate / plain,
        accepted: sum('drafted') > 0 ? sum('accepted') / sum('drafted') : undefined,
        tokensPerStep: sum('tokens') / (sum('tokens') - sum('accepted')),
        sameText: temperature === 0 ? rounds.every(({ ids }, i) => ids === results.plain[i].ids) : undefined,
      });
    }
  }
}
print({
  file,
  cpu: cpus()[0].model,
  node: process.version,
  threads,
  rounds: Number(values.rounds),
  load: loadavg()[0],
});
for (const each of open) await each.close();

async function generate(prompt, options, seed) {
  const run = model.generate(prompt, { ...options, seed, maxTokens, ignoreEos: true });
  const ids = [];
  let step = await run.next();
  for (; !step.done; step = await run.next()) ids.push(step.value.id);
  const { generatedTokens, generationSeconds, draftedTokens, acceptedTokens } = step.value;
  return {
    rate: (generatedTokens - 1) / generationSeconds,
    tokens: generatedTokens,
    drafted: draftedTokens,
    accepted: acceptedTokens,
    ids: ids.join(),
  };
}

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
}

/** One JSON line, with four digits of fractions. */
function print(record) {
  console.log(
    JSON.stringify(record, (_, value) =>
      typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(4)) : value,
    ),
  );
}
