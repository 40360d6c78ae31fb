// The main job on the bundled model, through the same commands a user types. Files go to demo-output/.
import { execFileSync } from 'node:child_process';
import { mkdirSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = 'demo-output';
const TEXT = 'models/nano-scout/evaluation.txt';
/** Windows of 512 tokens per perplexity: enough to tell the files apart, few enough to be quick. */
const CHUNKS = '24';

/** Runs a command of Cria, shown as it would be typed; returns what it printed. */
function cria(...args) {
  const shown = args.map((word) => (/[^\w./=:-]/.test(word) ? JSON.stringify(word) : word));
  console.log(`\n$ npx cria ${shown.join(' ')}`);
  return execFileSync(process.execPath, ['dist/cli/main.js', ...args], {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

mkdirSync(`${root}/${folder}`, { recursive: true });
const started = performance.now();

const full = `${folder}/nano-scout-BF16.gguf`;
cria('convert', 'models/nano-scout', '-o', full);
const files = [full];
for (const type of ['Q8_0', 'Q6_K', 'Q4_K']) {
  const out = `${folder}/nano-scout-${type}.gguf`;
  cria('quantize', full, '-o', out, '--type', type);
  files.push(out);
}

const rows = files.map((file) => {
  const output = cria('evaluate', 'perplexity', file, '-f', TEXT, '--chunks', CHUNKS, '--json');
  const { perplexity, perplexityError } = JSON.parse(output);
  return { file, megabytes: statSync(`${root}/${file}`).size / 1e6, perplexity, perplexityError };
});

const smallest = files.at(-1);
process.stdout.write(cria('run', smallest, '-no-cnv', '-n', '60', '--seed', '7', '-p', 'A lifetime is'));

console.log(`\n\n${'file'.padEnd(38)} ${'MB'.padStart(7)}  perplexity`);
for (const { file, megabytes, perplexity, perplexityError } of rows) {
  const measured = `${perplexity.toFixed(3)} ± ${perplexityError.toFixed(3)}`;
  console.log(`${file.padEnd(38)} ${megabytes.toFixed(2).padStart(7)}  ${measured}`);
}
console.log(`\nDone in ${((performance.now() - started) / 1000).toFixed(0)} s. The files are in ${folder}/.`);
