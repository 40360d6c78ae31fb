// Divergence at the six rungs' sizes, on nano-scout: the recipe with ggml's encoders (as published with the golden
// data), the recipe with Cria's encoders, and Cria's measured allocation at no more bytes. Sensitivities see
// calibration text only; divergence is measured on evaluation text.
// Run after `npm run build`: node bench/allocation.mjs [--windows N] [--rungs UD-IQ1_S,…] [--work FOLDER] [--no-recipes]
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { openModel } from '../dist/convert/open-model.js';
import { measureModel } from '../dist/dynamic/measurements.js';
import { shapeOf } from '../dist/dynamic/model-shape.js';
import { QuantizationPlanner } from '../dist/dynamic/plan-quantization.js';
import { layoutOutput, quantizeModel } from '../dist/dynamic/quantize.js';
import { findRecipe } from '../dist/dynamic/recipes.js';
import { resolvePlan } from '../dist/dynamic/type-plan.js';
import { BaseFile, evaluateDivergenceFromBase, writeBaseFile } from '../dist/evaluate/index.js';
import { readImatrix } from '../dist/formats/imatrix/index.js';
import { loadModel } from '../dist/generate/load-model.js';
import { tokenizerFromGguf } from '../dist/model/tokenizer/index.js';

const { values: options } = parseArgs({
  options: {
    windows: { type: 'string' },
    rungs: { type: 'string' },
    work: { type: 'string' },
    'no-recipes': { type: 'boolean' },
  },
});
const root = fileURLToPath(new URL('..', import.meta.url));
const modelPath = join(root, 'models/nano-scout');
const golden = join(root, 'test/golden/nano-scout');
const threads = availableParallelism();
const chunks = options.windows === undefined ? undefined : Number(options.windows);
const work = options.work ?? (await mkdtemp(join(tmpdir(), 'cria-allocation-')));
await mkdir(work, { recursive: true });

const published = JSON.parse(await readFile(join(golden, 'perplexity.json'), 'utf8')).rows.filter(
  ({ name }) => name.startsWith('recipe-'),
);
const rungs = published.filter(({ name }) => options.rungs?.split(',').includes(name.slice(7)) ?? true);

const imatrix = await readImatrix(join(golden, 'imatrix.gguf'));
const source = await openModel(modelPath);
const tensors = [...source.tensors.values()];
const tokenizer = tokenizerFromGguf(source.metadata);
const calibration = await readFile(join(modelPath, 'calibration.txt'), 'utf8');
// As llama.cpp reads it: with the last line break there would be one window more than in the golden figures.
const evaluation = (await readFile(join(modelPath, 'evaluation.txt'), 'utf8')).replace(/\n$/, '');
const base = await openBase();
const started = performance.now();
const measurements = await measureModel(source, {
  imatrix,
  ids: tokenizer.encode(calibration, { addBos: true, parseSpecial: false }),
  bosId: tokenizer.bosId,
  cachePath: join(work, 'nano-scout.sensitivity.json'),
  threads,
  onProgress: (done, total) => process.stderr.write(`\rmeasured ${done} of ${total} tensors`),
});
process.stderr.write(`, ${((performance.now() - started) / 1000).toFixed(0)} s\n`);

const planner = new QuantizationPlanner(tensors, {
  measurements,
  candidates: { imatrix },
  fileBytes: (plan) =>
    layoutOutput(source, 'x.gguf', { plan, fileType: 0 }).reduce((sum, { bytes }) => sum + bytes, 0),
});

for (const { name, bytes, meanKld } of rungs) {
  const rung = name.slice(7);
  const result = { rung, bytes, ggmlRecipe: meanKld };
  if (!options['no-recipes']) {
    const types = findRecipe(rung).types(shapeOf(source), true);
    result.criaRecipe = await measure(`${rung}-recipe`, resolvePlan(tensors, { types }).plan);
  }
  const plan = planner.plan({ bytes });
  await writeFile(join(work, `${rung}.plan.json`), JSON.stringify(plan.decisions, null, 1));
  result.allocated = await measure(`${rung}-allocated`, plan.types);
  result.predicted = Number(plan.predictedKld.toFixed(5));
  result.ratio = Number((result.allocated.meanKld / meanKld).toFixed(3));
  console.log(JSON.stringify(result));
}
await source.close();
await base.close();
if (options.work === undefined) await rm(work, { recursive: true });

async function measure(name, plan) {
  const path = join(work, `${name}.gguf`);
  await quantizeModel(source, path, { plan, fileType: 0, imatrix, threads });
  const model = await loadModel(path, { threads, contextSize: 512 });
  try {
    const { meanKld, sameTopPercent, perplexity } = await evaluateDivergenceFromBase(model, base, { chunks });
    const { size: bytes } = await stat(path);
    return { bytes, meanKld: Number(meanKld.toFixed(6)), sameTopPercent, perplexity };
  } finally {
    await model.close();
    await rm(path);
  }
}

async function openBase() {
  const path = join(work, 'evaluation.kld');
  try {
    return await BaseFile.open(path);
  } catch {
    const reference = await loadModel(modelPath, { threads, contextSize: 512 });
    await writeBaseFile(path, reference, evaluation, { chunks });
    await reference.close();
    return BaseFile.open(path);
  }
}
