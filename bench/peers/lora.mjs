// Text of a model with GGUF adapters in llama.cpp and in Cria, greedily, beside what both write without: one JSON line
// a prompt. Exit code 1 where the texts part at a token that one of them finds clearly likelier. See bench/README.md.
import { parseArgs } from 'node:util';
import { loadModel } from '../../dist/generate/load-model.js';
import { startLlamaCpp } from './llama-cpp.mjs';
import { argmax, compareRows, logSoftmax } from './logits.mjs';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    threads: { type: 'string', short: 't', default: '2' },
    lora: { type: 'string', multiple: true, default: [] },
    scale: { type: 'string', default: '1' },
    predict: { type: 'string', short: 'n', default: '48' },
    prompt: {
      type: 'string',
      short: 'p',
      multiple: true,
      default: ['Once upon a time', 'The llama', 'In the year 1234, the king of'],
    },
  },
});
const [file] = positionals;
if (file === undefined || values.lora.length === 0) {
  throw new Error(
    'usage: node lora.mjs MODEL.gguf --lora ADAPTER.gguf... [--scale N] [-n TOKENS] [-p PROMPT]...',
  );
}
const threads = Number(values.threads);
const tokens = Number(values.predict);
const contextSize = 512;
/** Nats: where two tokens are this close, rounding decides. */
const CLOSE = 0.02;
const adapters = values.lora.map((path) => ({ path, scale: Number(values.scale) }));

const llama = await startLlamaCpp(threads);
const cria = await loadModel(file, { threads, contextSize, kvType: 'f32', adapters });
const peer = await llama.open(file, contextSize, adapters);
for (const prompt of values.prompt) {
  const ids = cria.tokenizer.encode(prompt, { addBos: true, parseSpecial: false });
  await cria.setAdapterScales(adapters.map(() => 0));
  const plain = await write(ids);
  await cria.setAdapterScales(adapters.map(({ scale }) => scale));
  const ours = await write(ids);
  const theirs = await peerWrite(ids);
  const parting = ours.findIndex((id, i) => id !== theirs[i]);
  const same = parting < 0 ? tokens : parting;
  const [own, other] = [await cria.logits(ids), (await peer.logits(ids, [ids.length - 1]))[0]];
  const report = {
    prompt,
    engine: llama.name,
    tokens,
    same,
    changedFromBase: ours.some((id, i) => id !== plain[i]),
    logits: compareRows([logSoftmax(own)], [logSoftmax(other)]),
    text: cria.tokenizer.decode(ours),
  };
  if (same < tokens) {
    const row = logSoftmax(await cria.logits([...ids, ...ours.slice(0, same)]));
    report.gapAtParting = Number((row[ours[same]] - row[theirs[same]]).toPrecision(3));
    report.llamaCppText = cria.tokenizer.decode(theirs);
    if (report.gapAtParting > CLOSE) process.exitCode = 1;
  }
  console.log(JSON.stringify(report));
}
await peer.close();
await cria.close();
await llama.close();

async function write(ids) {
  const written = [];
  let position = 0;
  for (let next = ids; written.length < tokens; next = [written.at(-1)]) {
    written.push(argmax(await cria.evaluate(next, position, 'last')));
    position += next.length;
  }
  return written;
}

async function peerWrite(ids) {
  const written = [];
  await peer.clear();
  for (let next = ids; written.length < tokens; next = [written.at(-1)])
    written.push(await peer.nextToken(next));
  return written;
}
