// What constrained generation costs per token with a vocabulary of Llama 4's size: one JSON line a schema.
// See bench/README.md.
import { cpus, loadavg } from 'node:os';
import { jsonObjectGrammar, jsonSchemaGrammar, Sampler, TokenGrammar } from '../dist/generate/index.js';

const TOKENS = 202_048;
const STOP = TOKENS - 1;
const TEXTS = 150;

/** Words of lengths as vocabularies have them, a third after a space; every byte is a token, as in Llama 4. */
function syntheticTokenizer() {
  let state = 1;
  const random = (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) % below;
  };
  const letters =
    'eeeeettttaaaaooooiiinnnnsssrrrhhllddcuumfpgwybvkxjqzETAOINS0123456789.,:{}[]"\'-_/()<>=éüд猫';
  const words = new Set(Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte)));
  while (words.size < TOKENS - 1) {
    const length = 2 + random(4) + random(5);
    let word = random(3) === 0 ? ' ' : '';
    for (let i = 0; i < length; i++) word += letters[random(letters.length)];
    words.add(Buffer.from(word, 'utf8').toString('latin1'));
  }
  const bytes = [...words, '<|eot|>'].map((word) => Buffer.from(word, 'latin1'));
  return {
    vocabSize: TOKENS,
    isText: (id) => id !== STOP,
    tokenId: () => undefined,
    decodeBytes: ([id]) => bytes[id],
  };
}

const SCHEMAS = {
  'any object': jsonObjectGrammar(),
  record: jsonSchemaGrammar({
    type: 'object',
    properties: {
      name: { type: 'string' },
      age: { type: 'integer', minimum: 0, maximum: 150 },
      tags: { type: 'array', items: { enum: ['red', 'green', 'blue'] } },
      address: { type: 'object', properties: { street: { type: 'string' }, zip: { pattern: '^[0-9]{5}$' } } },
    },
    required: ['name', 'age', 'tags'],
  }),
  'string of 200': jsonSchemaGrammar({ type: 'string', maxLength: 200 }),
};

const tokenizer = syntheticTokenizer();
let mark = performance.now();
const first = new TokenGrammar(SCHEMAS['any object'], tokenizer);
print({ tree: 'of the vocabulary', tokens: TOKENS, seconds: lap() });

for (const [name, schema] of Object.entries(SCHEMAS)) {
  const grammar = name === 'any object' ? first : new TokenGrammar(schema, tokenizer);
  for (const pass of ['first', 'second']) {
    const times = [];
    for (let seed = 0; seed < 4; seed++) times.push(...write(grammar, seed));
    times.sort((a, b) => a - b);
    const at = (share) => times[Math.floor(share * (times.length - 1))];
    const mean = times.reduce((sum, time) => sum + time, 0) / times.length;
    print({
      schema: name,
      pass,
      tokens: times.length,
      milliseconds: { mean, median: at(0.5), p95: at(0.95), max: at(1) },
    });
  }
}
print({ cpu: cpus()[0].model, node: process.version, load: loadavg()[0] });

/** Milliseconds that the grammar takes for each token of a text by random logits. */
function write(grammar, seed) {
  const sampler = new Sampler({ temperature: 1, topK: 40, seed }, TOKENS);
  const run = grammar.start(new Set([STOP]));
  const times = [];
  while (!run.mustEnd && times.length < TEXTS) {
    const logits = Float32Array.from({ length: TOKENS }, (_, id) => Math.sin(id * (times.length + seed + 1)));
    mark = performance.now();
    run.mask(logits);
    const masked = 1000 * lap();
    const id = sampler.sample(logits, []);
    mark = performance.now();
    run.accept(id);
    times.push(masked + 1000 * lap());
    if (id === STOP) break;
  }
  return times;
}

/** Seconds since the last call. */
function lap() {
  const now = performance.now();
  const seconds = (now - mark) / 1000;
  mark = now;
  return seconds;
}

/** One JSON line, with four digits of fractions. */
function print(record) {
  console.log(
    JSON.stringify(record, (_, value) =>
      typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(4)) : value,
    ),
  );
}
