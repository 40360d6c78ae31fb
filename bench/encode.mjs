// Speed of the block encoders on one thread: one JSON line per type, with an importance matrix, the searches in
// TypeScript and compiled. Rates count processor time, so that other work on the machine disturbs them less.
// Run after `npm run build`: node bench/encode.mjs [type ...]
import { readFile } from 'node:fs/promises';
import { parseGgmlType, rowBytes } from '../dist/formats/ggml-types.js';
import { compiledSearches } from '../dist/quant/encode/compiled.js';
import { ENCODERS, searchingEncoders } from '../dist/quant/encode/index.js';

const ROWS = 8;
const COLUMNS = 1024;
const SECONDS = 0.5;

const data = new URL('../test/data/ggml/', import.meta.url);
const floatsOf = async (name) =>
  new Float32Array(Uint8Array.from(await readFile(new URL(name, data))).buffer);
const source = await floatsOf('input.f32');
const importance = await floatsOf('imatrix.f32');
const wasm = await WebAssembly.compile(await readFile(new URL('../dist/encoders.wasm', import.meta.url)));
const compiled = searchingEncoders(compiledSearches(wasm));

const arguments_ = process.argv.slice(2);
const types = arguments_.length > 0 ? arguments_.map(parseGgmlType) : Object.keys(ENCODERS);
for (const type of types) {
  console.log(
    JSON.stringify({
      type,
      referenceMillionWeightsPerSecond: measure(type, ENCODERS[type]),
      compiledMillionWeightsPerSecond: compiled[type] && measure(type, compiled[type]),
    }),
  );
}

function measure(type, encode) {
  const target = new Uint8Array(ROWS * rowBytes(type, COLUMNS));
  encode(source, target, COLUMNS, importance);
  const begin = process.cpuUsage();
  let weights = 0;
  let microseconds = 0;
  while (microseconds < SECONDS * 1e6) {
    encode(source, target, COLUMNS, importance);
    weights += source.length;
    const { user, system } = process.cpuUsage(begin);
    microseconds = user + system;
  }
  return Number((weights / microseconds).toPrecision(3));
}
