// A long prompt in one go and token by token: the logits after both must be the same, and the speed at the end of the
// context is what attention over it costs. node bench/long-context.mjs [MODEL] [TOKENS] [f16|q8_0|f32]
// (default: nano-scout, 20000 tokens, which cross two borders of attention chunks, f16).
import { fileURLToPath } from 'node:url';
import { loadModel } from '../dist/generate/load-model.js';

const [
  path = fileURLToPath(new URL('../models/nano-scout', import.meta.url)),
  count = '20000',
  kvType = 'f16',
] = process.argv.slice(2);
const tokens = Number(count);
const model = await loadModel(path, { contextSize: tokens + 64, kvType });
let state = 1;
const ids = Int32Array.from({ length: tokens }, () => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state % 4000;
});
const seconds = async (work) => {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
};

let together;
const prompt = await seconds(async () => {
  together = await model.evaluate(ids, 0, 'last');
});
console.log(`prompt of ${tokens} tokens: ${(tokens / prompt).toFixed(0)} tok/s`);
const next = await seconds(async () => {
  for (let i = 0; i < 32; i++) await model.evaluate([7], tokens + i, 'last');
});
console.log(`tokens after it: ${(32 / next).toFixed(1)} tok/s`);

let alone;
const single = await seconds(async () => {
  for (let i = 0; i < tokens; i++)
    alone = await model.evaluate([ids[i]], i, i === tokens - 1 ? 'last' : 'none');
});
console.log(`one token at a time: ${(tokens / single).toFixed(0)} tok/s`);
const worst = alone.reduce((largest, x, i) => Math.max(largest, Math.abs(x - together[i])), 0);
console.log(`largest difference of the last logits: ${worst}`);
await model.close();
