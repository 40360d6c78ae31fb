// One engine measured once, in a process of its own so that its memory is its own: prints one JSON object.
// Started by speed.mjs: node speed-child.mjs '{"engine": …, "file": …, …}'
import { existsSync, readFileSync } from 'node:fs';
import { resourceUsage } from 'node:process';
import { openModel } from '../dist/convert/open-model.js';

/** Enough for caches, for pages of a mapped file and for compilers that optimize what runs often. */
const WARM_UP = { prompt: 64, new: 8 };

const options = JSON.parse(process.argv[2]);
const { engine, file, threads, flashAttention } = options;
const contextSize = Math.ceil((options.prompt + options.new + 1) / 256) * 256;
const words = await wordTokens(file);
const prompt = randomItems(words, options.prompt);

if (engine === 'wllama') {
  const { measureWllama } = await import('./peers/wllama.mjs');
  const text = (count) =>
    prompt
      .slice(0, count)
      .map((word) => word.text)
      .join('');
  const texts = { warmUp: text(WARM_UP.prompt), prompt: text(options.prompt) };
  const settings = { threads, contextSize, texts, new: options.new, warmUpNew: WARM_UP.new };
  print(await measureWllama(file, { ...settings, allowed: words.map(({ id }) => id) }));
} else {
  const { version, open, close } = engine === 'cria' ? await startCria() : await startLlamaCpp();
  const rssBefore = peakRss();
  const started = performance.now();
  const model = await open();
  const loadSeconds = (performance.now() - started) / 1000;
  const ids = prompt.map(({ id }) => id);
  await measure(model, ids.slice(0, WARM_UP.prompt), WARM_UP.new);
  const rates = await measure(model, ids, options.new);
  print({ version, loadSeconds, peakRss: peakRss(), rssBefore, ...rates });
  await close();
}

/** Tokens per second; `own…` are those that the engine's timers give, without the way through JavaScript. */
async function measure(model, tokens, newTokens) {
  await model.clear();
  await model.timers?.();
  let mark = performance.now();
  const lap = () => {
    const seconds = (performance.now() - mark) / 1000;
    mark = performance.now();
    return seconds;
  };
  let token = await model.nextToken(tokens);
  const promptRate = tokens.length / lap();
  for (let i = 0; i < newTokens; i++) token = await model.nextToken([token]);
  const rates = { prompt: promptRate, generation: newTokens / lap() };
  const own = await model.timers?.();
  return own
    ? { ...rates, ownPrompt: tokens.length / own.prompt, ownGeneration: newTokens / own.generation }
    : rates;
}

async function startCria() {
  const { loadModel } = await import('../dist/generate/load-model.js');
  let cria;
  let position = 0;
  const open = async () => {
    cria = await loadModel(file, { threads, contextSize, ...options.cria });
    return {
      clear: () => {
        position = 0;
      },
      nextToken: async (ids) => {
        const logits = await cria.evaluate(ids, position, 'last');
        position += ids.length;
        return likeliest(logits);
      },
    };
  };
  return { version: `Node ${process.version}`, open, close: () => cria.close() };
}

async function startLlamaCpp() {
  const peer = await import(options.peers ? `${options.peers}/llama-cpp.mjs` : './peers/llama-cpp.mjs');
  const llama = await peer.startLlamaCpp(threads, { auto: 'auto', on: true, off: false }[flashAttention]);
  return { version: llama.name, open: () => llama.open(file, contextSize), close: llama.close };
}

/** Tokens that are a space and small letters: a row of them is the same tokens again when it is read as text. */
async function wordTokens(path) {
  const source = await openModel(path);
  const tokens = source.metadata.get('tokenizer.ggml.tokens').value;
  await source.close();
  return tokens.flatMap((text, id) =>
    /^\u0120[a-z]+$/.test(text) ? [{ id, text: text.replace('\u0120', ' ') }] : [],
  );
}

/** The same for every engine. */
function randomItems(items, count) {
  let state = 1;
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return items[(state >>> 8) % items.length];
  });
}

function likeliest(logits) {
  let best = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i] > logits[best]) best = i;
  return best;
}

/** Largest resident memory of this process so far, in bytes. */
function peakRss() {
  // The other count goes on from that of the process which started this one.
  const status = '/proc/self/status';
  if (!existsSync(status)) return resourceUsage().maxRSS * 1024;
  return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(status, 'utf8'))[1]) * 1024;
}

function print(record) {
  console.log(JSON.stringify(record));
}
