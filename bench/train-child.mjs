// Cria's training measured once, in a process of its own so that its memory is its own: prints one JSON object.
// Started by train.mjs: node train-child.mjs '{"file": …, "tuning": "full"|"lora", …}'
import { readFileSync } from 'node:fs';
import { openModel } from '../dist/convert/open-model.js';
import { TrainingModel } from '../dist/train/training-model.js';
import { step, trainingOptions } from './train-setup.mjs';

const setup = JSON.parse(process.argv[2]);
const { file, batch, length, warmup, steps } = setup;
const ids = setup.ids === undefined ? undefined : JSON.parse(readFileSync(setup.ids, 'utf8'));
const source = await openModel(file);
const model = await TrainingModel.open(source, trainingOptions(source, setup));
await source.close();
const size = batch * length;
const losses = [];
const times = [];
for (let i = 0; i < warmup + steps; i++) {
  const first = ids === undefined ? 0 : (i * size) % (ids.length - size);
  const tokens = ids?.slice(first, first + size) ?? Array.from({ length: size }, (_, t) => 300 + (t % 1000));
  const begin = performance.now();
  losses.push(await step(model, tokens, setup, i));
  times.push((performance.now() - begin) / 1000);
}
const timed = times.slice(warmup).sort((a, b) => a - b);
const seconds = timed.reduce((sum, one) => sum + one, 0);
const peak = /VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1];
console.log(
  JSON.stringify({
    engine: 'Cria',
    tokensPerSecond: (size * timed.length) / seconds,
    tokensPerSecondBestStep: size / timed[0],
    losses,
    trainableParameters: model.parameters.reduce(
      (sum, { shape }) => sum + shape.reduce((product, length) => product * length, 1),
      0,
    ),
    memory: model.memory,
    peakBytes: Number(peak) * 1024,
  }),
);
await model.close();
