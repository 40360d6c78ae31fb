// Cria's importance matrix of nano-scout against llama-imatrix's, over the whole calibration text: one JSON line per
// kind of tensor with the relative difference of the mean squares per column, and one line with the speed.
// Run after `npm run build`: node bench/calibrate.mjs [chunks] [f32|f16 cache]
import { readFileSync } from 'node:fs';
import { calibrate } from '../dist/dynamic/calibrate.js';
import { fitEntry, importanceOf, readImatrix } from '../dist/formats/imatrix/index.js';
import { loadModel } from '../dist/generate/load-model.js';

const path = (relative) => new URL(`../${relative}`, import.meta.url).pathname;
const chunks = Number(process.argv[2] ?? 403);
const model = await loadModel(path('models/nano-scout'), {
  threads: 2,
  contextSize: 512,
  kvType: process.argv[3] ?? 'f16',
  collect: true,
});
const ids = model.tokenizer.encode(readFileSync(path('models/nano-scout/calibration.txt'), 'utf8'), {
  addBos: true,
});
const started = performance.now();
const totals = await calibrate(model, [{ name: 'calibration.txt', ids }], { chunks });
const seconds = (performance.now() - started) / 1000;
await model.close();

const found = totals.toImatrix(512);
const golden = await readImatrix(path('test/golden/nano-scout/imatrix.gguf'));
const kinds = new Map();
for (const [name, expected] of golden.entries) {
  const kind = name.replace(/^blk\.\d+\./, '').replace(/\.weight$/, '');
  const matrices = expected.counts.length;
  const entry = fitEntry(name, found.entries.get(name), expected.sums.length / matrices, matrices);
  const differences = kinds.get(kind)?.differences ?? [];
  let countDifference = kinds.get(kind)?.countDifference ?? 0;
  for (let matrix = 0; matrix < matrices; matrix++) {
    const [ours, theirs] = [importanceOf(entry, matrix), importanceOf(expected, matrix)];
    theirs.forEach((value, i) => {
      differences.push(Math.abs(ours[i] - value) / value);
    });
    countDifference = Math.max(countDifference, Math.abs(entry.counts[matrix] - expected.counts[matrix]));
  }
  kinds.set(kind, { differences, countDifference });
}
const rounded = (value) => Number(value.toPrecision(3));
for (const [kind, { differences, countDifference }] of kinds) {
  differences.sort((a, b) => a - b);
  const at = (share) => rounded(differences[Math.floor(share * (differences.length - 1))]);
  const mean = rounded(differences.reduce((a, b) => a + b, 0) / differences.length);
  const above1Percent = differences.filter((value) => value > 0.01).length;
  console.log(
    JSON.stringify({
      kind,
      columns: differences.length,
      mean,
      median: at(0.5),
      p99: at(0.99),
      max: at(1),
      above1Percent,
      countDifference,
    }),
  );
}
console.log(
  JSON.stringify({
    chunks,
    seconds: rounded(seconds),
    tokensPerSecond: Math.round((chunks * 512) / seconds),
  }),
);
