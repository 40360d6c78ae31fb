// The memory that `cria plan --finetune` predicts beside the peak of a process that trains two steps: a JSON line for
// each configuration, of nano-scout or of FILE.
//   node bench/train-memory.mjs [-t 2] [FILE...]
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { configFromMetadata } from '../dist/convert/llama4-config.js';
import { openModel } from '../dist/convert/open-model.js';
import { trainingMemory } from '../dist/train/training-memory.js';
import { trainingOptions } from './train-setup.mjs';

const path = (name) => fileURLToPath(new URL(name, import.meta.url));
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { threads: { type: 'string', short: 't', default: '2' } },
});
const files = positionals.length > 0 ? positionals : [path('../models/nano-scout')];
const SIZES = [
  { batch: 8, length: 256 },
  { batch: 2, length: 2048 },
];
const KINDS = [
  { tuning: 'lora' },
  { tuning: 'lora', checkpointing: true },
  { tuning: 'full' },
  { tuning: 'full', optimizer: 'adamw_8bit' },
  { tuning: 'full', checkpointing: true },
];

for (const file of files) {
  const source = await openModel(file);
  for (const size of SIZES) {
    for (const kind of KINDS) {
      const setup = { file, threads: Number(values.threads), warmup: 0, steps: 2, ...size, ...kind };
      const config = configFromMetadata(source.metadata, source.tensors);
      const { bytes: predicted } = trainingMemory(config, source.tensors, trainingOptions(source, setup));
      const run = spawnSync(process.execPath, [path('train-child.mjs'), JSON.stringify(setup)], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const { peakBytes: measured } = JSON.parse(run.stdout);
      console.log(
        JSON.stringify({ ...setup, predicted, measured, error: (predicted - measured) / measured }),
      );
    }
  }
  await source.close();
}
