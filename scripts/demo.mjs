// The main job on the bundled model, through the same commands a user types. Files go to demo-output/.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = 'demo-output';
const CALIBRATION = 'models/nano-scout/calibration.txt';
const EVALUATION = 'models/nano-scout/evaluation.txt';
const RUNGS = ['UD-IQ1_S', 'UD-IQ1_M', 'UD-IQ2_XXS', 'UD-Q2_K_XL', 'UD-Q3_K_XL', 'UD-Q4_K_XL'];
/** The custom target: the size of the UD-Q2_K_XL file, spent where measuring says it helps. */
const RIVAL = 'UD-Q2_K_XL';

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

const sizeOf = (file) => statSync(`${root}/${file}`).size;

mkdirSync(`${root}/${folder}`, { recursive: true });
const started = performance.now();

const full = `${folder}/nano-scout-BF16.gguf`;
const imatrix = `${folder}/nano-scout.imatrix.gguf`;
cria('convert', 'models/nano-scout', '-o', full);
// A part of the text, for the sake of time; without --chunks it is all of it.
cria('calibrate', full, '-f', CALIBRATION, '-o', imatrix, '--chunks', '80');

const rungs = RUNGS.map((rung) => {
  const out = `${folder}/nano-scout-${rung}.gguf`;
  cria('quantize', full, '-o', out, '--recipe', rung, '--imatrix', imatrix);
  return out;
});
const custom = `${folder}/nano-scout-custom.gguf`;
const target = sizeOf(`${folder}/nano-scout-${RIVAL}.gguf`);
const measuring = ['--target-size', String(target), '-f', CALIBRATION, '--chunks', '1'];
cria('quantize', full, '-o', custom, '--imatrix', imatrix, ...measuring);

const files = [...rungs, custom];
const page = `${folder}/report.html`;
const json = `${folder}/report.json`;
const evaluating = ['-f', EVALUATION, '--chunks', '12'];
cria('report', full, ...files, '--imatrix', imatrix, ...evaluating, '-o', page, '--json', json);
const report = JSON.parse(readFileSync(`${root}/${json}`, 'utf8'));

console.log(cria('run', rungs[0], '-no-cnv', '-n', '60', '--seed', '7', '-p', 'A lifetime is'));

console.log(`\n${'file'.padEnd(40)} ${'MB'.padStart(6)}  perplexity  mean KLD`);
const row = (file, bytes, perplexity, kld) =>
  console.log(
    `${file.padEnd(40)} ${(bytes / 1e6).toFixed(2).padStart(6)}  ${perplexity.toFixed(2).padStart(10)}  ${kld}`,
  );
row(full, sizeOf(full), report.files[0].quality.referencePerplexity, '–');
for (const { file, bytes, quality } of report.files) {
  row(`${folder}/${file}`, bytes, quality.perplexity, quality.meanKld.toFixed(4));
}
console.log(`\nThe report is ${page}. Done in ${((performance.now() - started) / 1000).toFixed(0)} s.`);
