// Speed of the block encoders on one thread, with an importance matrix, and their error beside ggml's: one JSON line
// per type. `errorRatio` is the geometric mean over the sample rows of the importance-weighted squared error divided by
// that of ggml's encoder, `worstRow` its largest. Rates count processor time, so that other work on the machine disturbs
// them less. Run after `npm run build`: node bench/encode.mjs [type ...]
import { readFile } from 'node:fs/promises';
import { parseGgmlType, rowBytes } from '../dist/formats/ggml-types.js';
import { ENCODERS } from '../dist/quant/encode/index.js';
import { blockFormat } from '../dist/quant/index.js';

const SECONDS = 0.5;
/** llama.cpp v0.5.0, one core of the same class of machine: million weights per second. */
const GGML_SPEED = {
  Q2_K: 5.2,
  Q4_K: 6.3,
  Q6_K: 24,
  IQ1_S: 0.9,
  IQ1_M: 5.8,
  IQ2_XXS: 0.7,
  IQ3_XXS: 0.6,
  IQ4_XS: 4.1,
};

const data = new URL('../test/data/ggml/', import.meta.url);
const floatsOf = async (name) =>
  new Float32Array(Uint8Array.from(await readFile(new URL(name, data))).buffer);
const manifest = JSON.parse(await readFile(new URL('manifest.json', data), 'utf8'));
const { rows, cols: columns } = manifest;
const source = await floatsOf('input.f32');
const importance = await floatsOf('imatrix.f32');

const chosen = process.argv.slice(2);
const types = chosen.length > 0 ? chosen.map(parseGgmlType) : Object.keys(ENCODERS);
for (const type of types) {
  const encoded = new Uint8Array(rows * rowBytes(type, columns));
  ENCODERS[type](source, encoded, columns, importance);
  const ratios = await errorRatios(type, encoded);
  console.log(
    JSON.stringify({
      type,
      millionWeightsPerSecond: measure(ENCODERS[type], encoded),
      ggml: GGML_SPEED[type],
      errorRatio: ratios && rounded(Math.exp(ratios.reduce((sum, r) => sum + Math.log(r), 0) / rows)),
      worstRow: ratios && rounded(Math.max(...ratios)),
    }),
  );
}

function measure(encode, target) {
  const begin = process.cpuUsage();
  let weights = 0;
  let microseconds = 0;
  while (microseconds < SECONDS * 1e6) {
    encode(source, target, columns, importance);
    weights += source.length;
    const { user, system } = process.cpuUsage(begin);
    microseconds = user + system;
  }
  return rounded(weights / microseconds);
}

async function errorRatios(type, encoded) {
  const sample = manifest.types.find((entry) => entry.imatrix && parseGgmlType(entry.type) === type);
  if (!sample) return undefined;
  const decoded = new Float32Array(source.length);
  blockFormat(type).decode(encoded, decoded);
  const theirs = rowErrors(await floatsOf(sample.dequantized));
  return rowErrors(decoded).map((error, row) => error / theirs[row]);
}

function rowErrors(decoded) {
  const errors = new Array(rows).fill(0);
  for (let i = 0; i < decoded.length; i++) {
    errors[Math.floor(i / columns)] += importance[i % columns] * (decoded[i] - source[i]) ** 2;
  }
  return errors;
}

function rounded(value) {
  return Number(value.toPrecision(3));
}
