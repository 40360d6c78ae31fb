import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { writeFileAtomic } from '../../base/atomic-file.js';
import { CriaError } from '../../base/errors.js';
import { openModel } from '../../convert/open-model.js';
import { checkNotAFolder } from '../../convert/output-checks.js';
import { entriesOfModel } from '../../dynamic/imatrix-of-model.js';
import { inputFiles, refuseOverwriting } from '../../dynamic/input-files.js';
import { buildReport, type MeasuredQuality, type Report } from '../../dynamic/report/report-data.js';
import { reportPage } from '../../dynamic/report/report-page.js';
import { roundingErrors } from '../../dynamic/report/rounding-errors.js';
import { evaluateDivergence } from '../../evaluate/index.js';
import { readImatrix } from '../../formats/imatrix/index.js';
import type { TensorSource } from '../../formats/tensor-source.js';
import { loadFromSource } from '../../generate/load-model.js';
import { integer, text, texts } from '../options.js';
import { readPromptInput } from '../text-input.js';
import { defineVerb, type Terminal } from '../verb.js';
import { withProgress } from '../work-progress.js';

export const reportVerb = defineVerb({
  name: 'report',
  summary: 'Show where the bits of quantized files went, and what that cost',
  details:
    'Writes one HTML page that needs nothing else, the same as JSON, or both. With a text, every file is also run beside the original.',
  positionals: [
    { name: 'ORIGINAL', help: 'the model as it was: a checkpoint folder or a GGUF file' },
    { name: 'QUANTIZED', help: 'GGUF files made from it', many: true },
  ],
  examples: ['cria report scout-bf16.gguf scout.gguf -o report.html'],
  options: {
    output: text(['-o', '--output'], 'FILE', { help: 'the HTML page to write' }),
    json: text(['--json'], 'FILE', { help: 'the JSON file to write; - for standard output' }),
    imatrix: text(['--imatrix'], 'FILE', {
      help: 'the importance matrix: weighs the errors, and shows which experts calibration reached',
    }),
    bnb: texts(['--bnb'], 'DIR', {
      help: "a checkpoint of 'cria export' in 4 bits: its error by layer beside 4 bits throughout",
    }),
    file: text(['-f', '--file'], 'TEXT', {
      help: 'measure perplexity and divergence from the original on this text (- for standard input)',
      group: 'Evaluation',
    }),
    contextSize: integer(['-c', '--ctx-size'], {
      initial: 512,
      min: 2,
      help: 'tokens of a window',
      group: 'Evaluation',
    }),
    chunks: integer(['--chunks'], {
      initial: -1,
      min: -1,
      help: 'windows to evaluate at most; -1 for all',
      group: 'Evaluation',
    }),
    threads: integer(['-t', '--threads'], {
      initial: undefined,
      min: 1,
      max: 512,
      help: 'worker threads (default: one per processor core)',
      group: 'Evaluation',
    }),
  },
  run: async (terminal, { positionals: [original = '', ...quantized], values }) => {
    const { output, json } = values;
    if (output === undefined && json === undefined) {
      throw new CriaError('usage', 'missing-argument', 'missing output: expected -o FILE, or --json FILE');
    }
    const outputs = [output, json].filter((path) => path !== undefined && path !== '-') as string[];
    for (const path of outputs) await checkNotAFolder(path);
    const content = values.file === undefined ? undefined : await readPromptInput(terminal, values.file);
    const sources: TensorSource[] = [];
    try {
      for (const path of [original, ...quantized, ...values.bnb]) sources.push(await openModel(path));
      await refuseOverwriting((await Promise.all(sources.map(inputFiles))).flat(), outputs);
      const report = await makeReport(terminal, sources, { ...values, content });
      if (output !== undefined) await writeFileAtomic(output, reportPage(report));
      const text = `${JSON.stringify(report, null, 1)}\n`;
      if (json === '-') terminal.stdout.write(text);
      else if (json !== undefined) await writeFileAtomic(json, text);
      if (json !== '-') terminal.stdout.write(`${outputs.join('\n')}\n`);
    } finally {
      for (const source of sources) await source.close();
    }
  },
});

interface Settings {
  readonly imatrix: string | undefined;
  /** How many of the sources, the last ones, these are. */
  readonly bnb: readonly string[];
  readonly file: string | undefined;
  readonly content: string | undefined;
  readonly contextSize: number;
  readonly chunks: number;
  readonly threads: number | undefined;
}

async function makeReport(
  terminal: Terminal,
  sources: readonly TensorSource[],
  settings: Settings,
): Promise<Report> {
  const [original, ...compared] = sources as [TensorSource, ...TensorSource[]];
  const files = compared.slice(0, compared.length - settings.bnb.length);
  const checkpoints = compared.slice(files.length);
  const imatrix =
    settings.imatrix === undefined
      ? undefined
      : { file: settings.imatrix, imatrix: await readImatrix(settings.imatrix) };
  const importance = imatrix && entriesOfModel(imatrix.imatrix, original.tensors.values());
  const rounding = await withProgress(terminal, { label: 'comparing weights', unit: 'items' }, (onProgress) =>
    roundingErrors(original, compared, { importance, onProgress }),
  );
  const qualities = await evaluateFiles(terminal, original, files, settings);
  return buildReport({
    original: { source: original, bytes: await fileBytes(original) },
    files: await Promise.all(
      files.map(async (source, i) => ({ source, bytes: await fileBytes(source), quality: qualities[i] })),
    ),
    fourBit:
      checkpoints.length === 0
        ? undefined
        : await Promise.all(checkpoints.map(async (source) => ({ source, bytes: await fileBytes(source) }))),
    rounding,
    imatrix,
    evaluationText:
      settings.file === undefined || settings.file === '-' ? undefined : basename(settings.file),
  });
}

/** Runs every file beside the original, which is loaded once. Nothing without a text. */
async function evaluateFiles(
  terminal: Terminal,
  original: TensorSource,
  files: readonly TensorSource[],
  { content, contextSize, chunks, threads }: Settings,
): Promise<MeasuredQuality[]> {
  if (content === undefined) return [];
  const { signal } = terminal;
  const load = { threads, contextSize, signal };
  const reference = await loadFromSource(original, load);
  try {
    const qualities: MeasuredQuality[] = [];
    for (const source of files) {
      const model = await loadFromSource(source, load);
      try {
        const label = `running ${basename(source.path)}`;
        const result = await withProgress(terminal, { label, unit: 'items' }, (onProgress) =>
          evaluateDivergence(model, reference, content, {
            contextSize,
            chunks: chunks < 1 ? undefined : chunks,
            onProgress,
            signal,
          }),
        );
        qualities.push(toQuality(result));
      } finally {
        await model.close();
      }
    }
    return qualities;
  } finally {
    await reference.close();
  }
}

/** Without what differs from run to run, so that the same inputs give the same report. */
function toQuality({ seconds: _, ...quality }: MeasuredQuality & { seconds: number }): MeasuredQuality {
  return quality;
}

async function fileBytes(source: TensorSource): Promise<number> {
  const sizes = await Promise.all((await inputFiles(source)).map(async (path) => (await stat(path)).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}
