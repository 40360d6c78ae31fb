// One engine measured once, in a process of its own so that its memory is its own: prints one JSON object.
// Started by speed.mjs: node speed-child.mjs ENGINE FILE THREADS PROMPT_TOKENS NEW_TOKENS FLASH_ATTENTION
import { resourceUsage } from 'node:process';

const [engine, file, ...rest] = process.argv.slice(2);
const [threads, promptTokens, newTokens] = rest.map(Number);
const flashAttention = { auto: 'auto', on: true, off: false }[rest[3]];
const contextSize = Math.ceil((promptTokens + newTokens + 1) / 256) * 256;

const { open, close } = engine === 'cria' ? await startCria() : await startPeer();
const rssBefore = peakRss();
let mark = performance.now();
const model = await open();
const loadSeconds = lap();

// Any tokens will do for the time; those of a fixed generator are the same for both engines.
let state = 1;
const prompt = Array.from({ length: promptTokens }, () => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return (state >>> 8) % model.vocabSize;
});

// The first run finds cold caches and kernels not yet optimized.
const first = await measure();
const steady = await measure();
console.log(
  JSON.stringify({
    loadSeconds,
    peakRss: peakRss(),
    rssBefore,
    firstPrompt: first.prompt,
    ...steady,
  }),
);
await close();

/** Tokens per second; `own…` are those that the engine's timers give, without the way through JavaScript. */
async function measure() {
  await model.clear();
  await model.timers?.();
  lap();
  let token = await model.nextToken(prompt);
  const promptRate = promptTokens / lap();
  for (let i = 0; i < newTokens; i++) token = await model.nextToken([token]);
  const rates = { prompt: promptRate, generation: newTokens / lap() };
  const own = await model.timers?.();
  return own
    ? { ...rates, ownPrompt: promptTokens / own.prompt, ownGeneration: newTokens / own.generation }
    : rates;
}

async function startCria() {
  const { loadModel } = await import('../dist/generate/load-model.js');
  let cria;
  let position = 0;
  const open = async () => {
    cria = await loadModel(file, { threads, contextSize });
    return {
      vocabSize: cria.vocabSize,
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
  return { open, close: () => cria.close() };
}

async function startPeer() {
  const { startLlamaCpp } = await import('./peers/llama-cpp.mjs');
  const llama = await startLlamaCpp(threads, flashAttention);
  return { open: () => llama.open(file, contextSize), close: llama.close };
}

function likeliest(logits) {
  let best = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i] > logits[best]) best = i;
  return best;
}

/** Seconds since the last call. */
function lap() {
  const now = performance.now();
  const seconds = (now - mark) / 1000;
  mark = now;
  return seconds;
}

/** Largest resident memory of this process so far, in bytes. */
function peakRss() {
  return resourceUsage().maxRSS * 1024;
}
