// Opens GGUF files in llama.cpp and in Cria and compares tokens, log probabilities and greedy texts: one JSON line a
// file. Exit code 1 when a file does not open. See bench/README.md.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { loadModel } from '../../dist/generate/load-model.js';
import { logErrors, startLlamaCpp } from './llama-cpp.mjs';
import { argmax, compareRows, logSoftmax } from './logits.mjs';

const { positionals: files, values } = parseArgs({
  allowPositionals: true,
  options: {
    threads: { type: 'string', short: 't', default: '2' },
    golden: { type: 'string' },
    'in-process': { type: 'boolean', default: false },
  },
});
if (files.length === 0) throw new Error('usage: node open.mjs [-t THREADS] [--golden FOLDER] FILE...');

const THREADS = Number(values.threads);
/** Logits compared per file, at most: Llama 4's vocabulary is large. */
const LOGITS = 2 ** 21;
const NEW_TOKENS = 40;
const TEXT = `The llama's baby is called a cria; 3 of 12,345 weigh 9.5 kg.\n\n\tfunction grüße(名前) { return "привет 🦙"; }`;
const CHAT = '<|header_start|>user<|header_end|>\n\nHi<|eot|><|header_start|>assistant<|header_end|>\n\n';

if (values['in-process']) {
  const report = await compareFile(files[0]);
  console.log(JSON.stringify(report));
} else {
  // An assertion inside llama.cpp ends the whole process, so each file gets one of its own.
  for (const file of files) {
    const script = fileURLToPath(import.meta.url);
    const child = spawnSync(
      process.execPath,
      [script, '--in-process', ...process.argv.slice(2).filter((word) => !files.includes(word)), file],
      {
        encoding: 'utf8',
      },
    );
    const line = child.stdout.trim().split('\n').at(-1);
    const report = line.startsWith('{')
      ? line
      : JSON.stringify({
          file,
          opens: false,
          error: `ended with ${child.signal ?? child.status}`,
          log: child.stderr.trim().split('\n').slice(-5),
        });
    console.log(report);
    if (!JSON.parse(report).opens) process.exitCode = 1;
  }
}

async function compareFile(file) {
  const llama = await startLlamaCpp(THREADS);
  const report = { file, engine: llama.name };
  const contextSize = values.golden ? 8448 : 1024;
  let peer;
  try {
    peer = await llama.open(file, contextSize);
  } catch (error) {
    return { ...report, opens: false, error: error.message, log: logErrors(llama.logs) };
  }
  const cria = await loadModel(file, { threads: THREADS, contextSize });
  const texts = [TEXT, CHAT].map((text) => ({
    text,
    ids: cria.tokenizer.encode(text, { addBos: false, parseSpecial: true }),
  }));
  const sameTokens = texts.every(({ text, ids }) => String(peer.tokenize(text, true)) === String(ids));
  const cases = values.golden
    ? goldenCases(values.golden)
    : [{ ids: [cria.tokenizer.bosId, ...texts[0].ids] }];
  const logits = [];
  for (const each of cases) logits.push(await compareLogits(peer, cria, each));
  const prompts = values.golden
    ? goldenPrompts(values.golden)
    : [{ ids: [cria.tokenizer.bosId, ...texts[1].ids] }];
  const greedy = [];
  for (const prompt of prompts) greedy.push(await compareGreedy(peer, cria, prompt));
  await cria.close();
  await llama.close();
  return { ...report, opens: true, ...peer.facts(), sameTokens, logits, greedy };
}

/** Distances between log probabilities, in nats; `golden` is the reference's logits, row by row. */
async function compareLogits(peer, cria, { name, ids, positions, golden }) {
  const all = positions ?? Array.from(ids, (_, i) => i);
  const rows = Math.max(1, Math.floor(LOGITS / peer.vocabSize));
  const chosen = all.slice(-rows);
  const theirs = (await peer.logits(ids, chosen)).map(logSoftmax);
  const split = (flat) =>
    chosen.map((_, i) => logSoftmax(flat.subarray(i * peer.vocabSize, (i + 1) * peer.vocabSize)));
  const ours = split(await cria.logits(ids, { positions: chosen }));
  const result = {
    name,
    tokens: ids.length,
    positions: chosen.length,
    criaToLlamaCpp: compareRows(ours, theirs),
  };
  if (golden) {
    const reference = split(golden.subarray((all.length - chosen.length) * peer.vocabSize));
    result.criaToGolden = compareRows(ours, reference);
    result.llamaCppToGolden = compareRows(theirs, reference);
  }
  return result;
}

/** How many tokens both greedy continuations share from the start, and the texts where they part. */
async function compareGreedy(peer, cria, { ids, expected }) {
  const theirs = [];
  const ours = [];
  await peer.clear();
  for (let next = ids; theirs.length < NEW_TOKENS; next = [theirs.at(-1)])
    theirs.push(await peer.nextToken(next));
  let position = 0;
  for (let next = ids; ours.length < NEW_TOKENS; next = [ours.at(-1)]) {
    ours.push(argmax(await cria.evaluate(next, position, 'last')));
    position += next.length;
  }
  const shared = (a, b) => {
    const parting = a.findIndex((id, i) => id !== b[i]);
    return parting < 0 ? a.length : parting;
  };
  const same = shared(ours, theirs);
  return {
    tokens: NEW_TOKENS,
    same,
    ...(expected && { criaAsGolden: shared(ours, expected), llamaCppAsGolden: shared(theirs, expected) }),
    ...(same < NEW_TOKENS && { cria: cria.tokenizer.decode(ours), llamaCpp: cria.tokenizer.decode(theirs) }),
  };
}

/** The runs of tokens of a folder of golden files whose logits are known. */
function goldenCases(folder) {
  return ['short', 'long'].map((name) => {
    const { ids, positions } = JSON.parse(readFileSync(`${folder}/${name}.json`, 'utf8'));
    const bytes = new Uint8Array(readFileSync(`${folder}/${name}.logits.f32`));
    return { name, ids, positions, golden: new Float32Array(bytes.buffer) };
  });
}

function goldenPrompts(folder) {
  const greedy = JSON.parse(readFileSync(`${folder}/greedy.json`, 'utf8'));
  return Object.values(greedy).map((each) => ({ ids: each.prompt, expected: each.new }));
}
