// The memory that `cria plan --finetune` predicts beside the peak of a `cria finetune` of two steps that fill its
// batches: a JSON line for each configuration, of nano-scout, of a quantized nano-scout, or of FILE.
//   node bench/train-memory.mjs [-t 2] [FILE...]
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const path = (name) => fileURLToPath(new URL(name, import.meta.url));
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { threads: { type: 'string', short: 't', default: '2' } },
});
const NANO = path('../models/nano-scout');
const CRIA = path('../dist/cli/main.js');
/** Has a process say in the end how much memory it had at most. */
const TELL_PEAK = `import { readFileSync } from 'node:fs';
process.on('exit', () => {
  const [, kilobytes] = /VmHWM:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'));
  console.error('PEAK ' + kilobytes * 1024);
});`;
const SIZES = [
  ['--batch-size', '8', '-c', '256'],
  ['--batch-size', '2', '-c', '2048'],
];
const KINDS = [
  [],
  ['--gradient-checkpointing'],
  ['--experts'],
  ['--full'],
  ['--full', '--optim', 'adamw_8bit'],
  ['--full', '--gradient-checkpointing'],
];

function cria(args) {
  const hook = ['--import', `data:text/javascript,${encodeURIComponent(TELL_PEAK)}`];
  const { stdout, stderr, status } = spawnSync(process.execPath, [...hook, CRIA, ...args], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`cria ${args.join(' ')}: ${stderr}`);
  return { stdout, peak: Number(/PEAK (\d+)/.exec(stderr)[1]) };
}

const folder = mkdtempSync(join(tmpdir(), 'cria-bench-memory-'));
try {
  const quantized = join(folder, 'nano-scout-Q4_K_M.gguf');
  const files = positionals.length > 0 ? positionals : [NANO, quantized];
  if (positionals.length === 0) cria(['quantize', NANO, '-o', quantized, '--type', 'Q4_K_M']);
  for (const file of files) {
    for (const size of SIZES) {
      // Every weight trains in 32 bits, whatever the file holds.
      for (const kind of KINDS.filter((kind) => file !== quantized || !kind.includes('--full'))) {
        const configuration = [...size, ...kind, '-t', values.threads];
        const { plans } = JSON.parse(cria(['plan', file, '--finetune', '--json', ...configuration]).stdout);
        const checkpointing = kind.includes('--gradient-checkpointing');
        const { bytes: predicted } = plans.findLast((plan) => plan.checkpointing === checkpointing);
        const output = join(folder, 'output');
        const data = ['--data', join(NANO, 'calibration.txt'), '--packing', '--overlong', 'truncate'];
        const { peak: measured } = cria([
          'finetune',
          file,
          '-o',
          output,
          ...data,
          '--max-steps',
          '2',
          ...configuration,
        ]);
        const log = readFileSync(join(output, 'train-log.jsonl'), 'utf8');
        const tokens = [...log.matchAll(/"event":"step".*?"tokens":(\d+)/g)].map(([, count]) =>
          Number(count),
        );
        rmSync(output, { recursive: true });
        const error = (predicted - measured) / measured;
        console.log(
          JSON.stringify({
            file,
            configuration: configuration.join(' '),
            tokens,
            predicted,
            measured,
            error,
          }),
        );
      }
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
