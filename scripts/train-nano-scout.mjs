// Trains a model like models/nano-scout from random weights: its shape and vocabulary, and the text you give.
//   node scripts/train-nano-scout.mjs OUT [TEXT …] [-- OPTIONS OF CRIA FINETUNE]
// The bundled model read 11 million tokens (about 45 MB) of permissively licensed documentation and source code.
// Without TEXT it is models/nano-scout/calibration.txt, which is enough to see the loss fall and not for more.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const args = process.argv.slice(2);
const end = args.indexOf('--');
const [out, ...texts] = end < 0 ? args : args.slice(0, end);
const more = end < 0 ? [] : args.slice(end + 1);
if (out === undefined) {
  console.error('usage: node scripts/train-nano-scout.mjs OUT [TEXT …] [-- OPTIONS]');
  process.exit(2);
}
const data = texts.length > 0 ? texts : [`${root}models/nano-scout/calibration.txt`];
const { status } = spawnSync(
  process.execPath,
  [
    `${root}dist/cli/main.js`,
    ...['finetune', `${root}models/nano-scout`, '--full', '--from-scratch', '-o', out],
    ...data.flatMap((file) => ['--data', file]),
    // One pass over 11 million tokens in steps of 8 × 256 would be 5,400 steps.
    ...['-c', '256', '--batch-size', '8', '--packing', '--epochs', '1', '--eval-split', '0.02'],
    ...['--learning-rate', '2e-3', '--lr-scheduler-type', 'cosine', '--warmup-ratio', '0.02'],
    ...['--adam-beta2', '0.95', '--weight-decay', '0.1', '--resume'],
    ...more,
  ],
  { stdio: 'inherit' },
);
process.exitCode = status ?? 1;
