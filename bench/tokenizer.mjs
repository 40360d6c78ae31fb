// Encoding and decoding speed on the calibration text, in one JSON line. `@huggingface/tokenizers` is measured in
// the same run when it can be imported (npm install --no-save @huggingface/tokenizers).
import { readFileSync } from 'node:fs';
import { tokenizerFromJson } from '../dist/model/tokenizer/index.js';

const ROUNDS = 5;
const model = new URL('../models/nano-scout/', import.meta.url);
const readText = (name) => readFileSync(new URL(name, model), 'utf8');
const json = JSON.parse(readText('tokenizer.json'));
const config = JSON.parse(readText('tokenizer_config.json'));
const text = readText('calibration.txt');
const megabytes = Buffer.byteLength(text) / 1e6;

/** MB/s of the first call, which finds cold caches, and the best of the later ones. */
function speed(work) {
  const seconds = Array.from({ length: ROUNDS }, () => {
    const start = performance.now();
    work();
    return (performance.now() - start) / 1000;
  });
  const rate = (s) => Number((megabytes / s).toFixed(2));
  return { cold: rate(seconds[0]), warm: rate(Math.min(...seconds.slice(1))) };
}

const tokenizer = tokenizerFromJson(json, config);
const ids = tokenizer.encode(text);
const fresh = tokenizerFromJson(json, config);
const result = {
  bench: 'tokenizer',
  unit: 'MB/s',
  megabytes: Number(megabytes.toFixed(3)),
  tokens: ids.length,
  encode: speed(() => fresh.encode(text)),
  decode: speed(() => fresh.decode(ids)),
};

const peer = await import('@huggingface/tokenizers').catch(() => undefined);
if (peer) {
  const other = new peer.Tokenizer(json, config);
  const options = { add_special_tokens: false };
  const same = JSON.stringify(other.encode(text, options).ids) === JSON.stringify(ids);
  result.huggingfaceTokenizers = {
    sameIds: same,
    encode: speed(() => other.encode(text, options)),
    decode: speed(() => other.decode(ids)),
  };
}
console.log(JSON.stringify(result));
