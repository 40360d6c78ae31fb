// Perplexity of GGUF files on a text, in Cria and in llama.cpp, over the same windows: one JSON line a file.
// See bench/README.md.
import { readFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { evaluatePerplexity } from '../../dist/evaluate/index.js';
import { textWindows } from '../../dist/evaluate/text-windows.js';
import { loadModel } from '../../dist/generate/load-model.js';
import { startLlamaCpp } from './llama-cpp.mjs';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    threads: { type: 'string', short: 't', default: '2' },
    chunks: { type: 'string', default: '10' },
    context: { type: 'string', short: 'c', default: '512' },
  },
});
const files = positionals.slice(0, -1);
if (files.length === 0) {
  throw new Error('usage: node perplexity.mjs [-t THREADS] [-c TOKENS] [--chunks N] FILE... TEXT');
}
const threads = Number(values.threads);
const contextSize = Number(values.context);
const chunks = Number(values.chunks);
// As llama-perplexity reads its file.
const text = readFileSync(positionals.at(-1), 'utf8').replace(/\n$/, '');

const llama = await startLlamaCpp(threads);
for (const file of files) {
  const cria = await loadModel(file, { threads, contextSize });
  const ours = await evaluatePerplexity(cria, text, { contextSize, chunks });
  await cria.close();

  const peer = await llama.open(file, contextSize);
  const theirs = await peerPerplexity(peer, cria.tokenizer.bosId);
  await peer.close();

  console.log(
    JSON.stringify({
      file,
      engine: llama.name,
      contextSize,
      chunks: ours.chunks,
      cria: ours.perplexity,
      llamaCpp: theirs.perplexity,
      standardError: ours.perplexityError,
      meanNllDifference: ours.meanNll - theirs.meanNll,
      criaSeconds: ours.seconds,
      llamaCppSeconds: theirs.seconds,
      load: loadavg()[0],
    }),
  );
}
await llama.close();

/** As `evaluatePerplexity`, with llama.cpp's own tokens and likelihoods. */
async function peerPerplexity(peer, bosId) {
  const started = performance.now();
  const ids = [bosId, ...peer.tokenize(text, false)];
  let sum = 0;
  let tokens = 0;
  for (const window of textWindows(ids, contextSize, bosId, chunks)) {
    for (const nll of await peer.score(window.ids, window.firstScored)) {
      sum += nll;
      tokens++;
    }
  }
  const meanNll = sum / tokens;
  return { perplexity: Math.exp(meanNll), meanNll, seconds: (performance.now() - started) / 1000 };
}
