import { CriaError } from '../../base/errors.js';
import { openModel } from '../../convert/open-model.js';
import { type CalibrationResult, calibrateToFile } from '../../dynamic/calibrate-to-file.js';
import { type CoverageReport, coverageReport } from '../../dynamic/coverage.js';
import { filesIdentity, inputFiles } from '../../dynamic/input-files.js';
import { textTable } from '../../formats/text-table.js';
import { loadFromSource } from '../../generate/load-model.js';
import { encodeCalibrationTexts, readTextFiles } from '../calibration-texts.js';
import { CACHE_EXPERTS } from '../expert-cache.js';
import { modelPath } from '../model-argument.js';
import { choice, text, texts, toggle } from '../options.js';
import { MODEL, REPACK, THREADS, WINDOW_OPTIONS } from '../shared-options.js';
import { defineVerb } from '../verb.js';
import { withProgress } from '../work-progress.js';

export const calibrateVerb = defineVerb({
  name: 'calibrate',
  summary: 'Measure which weights matter: an importance matrix for quantizing',
  details:
    'The file opens in llama-quantize, and reads its own. Stopped or killed, the same command goes on where it was. Afterwards a table says which experts saw too little text.',
  positionals: [MODEL],
  examples: ['cria calibrate scout-bf16.gguf -f calibration.txt -o imatrix.gguf'],
  options: {
    files: texts(['-f', '--file'], 'FILE', {
      help: 'text to run through the model, or chats: a .jsonl file with {"messages": [...]} on each line, laid out by the template of the model; may be given several times',
    }),
    output: text(['-o', '--output', '--output-file'], 'FILE', {
      help: 'the importance matrix to write, NAME.imatrix.gguf; required',
    }),
    chunks: WINDOW_OPTIONS.chunks,
    contextSize: WINDOW_OPTIONS.contextSize,
    format: choice(['--output-format'], ['gguf', 'dat'], {
      initial: 'gguf',
      help: "llama.cpp's present format, or the one before, which ik_llama.cpp reads",
    }),
    merge: texts(['--in-file'], 'FILE', {
      help: 'an earlier importance matrix of the same model to add to the result; may be given several times',
    }),
    parseSpecial: toggle(['--parse-special'], {
      help: 'read special tokens spelled out in a text as such',
    }),
    threads: THREADS,
    repack: REPACK,
    cacheExperts: CACHE_EXPERTS,
    json: toggle(['--json'], { help: 'print one JSON object' }),
  },
  run: async (terminal, { positionals: [path = ''], values }) => {
    const { files, output, contextSize, threads, repack, cacheExperts } = values;
    if (files.length === 0) {
      throw new CriaError('usage', 'missing-argument', 'missing text: expected -f FILE');
    }
    if (output === undefined) {
      throw new CriaError('usage', 'missing-argument', 'missing output: expected -o FILE');
    }
    const { signal } = terminal;
    const started = performance.now();
    const textFiles = await readTextFiles(terminal, files);
    const source = await openModel(await modelPath(path));
    try {
      const modelIdentity = await filesIdentity(await inputFiles(source));
      const model = await loadFromSource(source, {
        threads,
        repack,
        contextSize,
        cacheExperts,
        collect: true,
        signal,
      });
      try {
        const content = encodeCalibrationTexts(textFiles, model, values.parseSpecial);
        const result = await withProgress(terminal, { label: 'calibrating', unit: 'items' }, (onProgress) =>
          calibrateToFile(model, content, output, {
            modelIdentity,
            contextSize,
            chunks: values.chunks < 1 ? undefined : values.chunks,
            format: values.format,
            merge: values.merge,
            onProgress,
            signal,
          }),
        );
        const coverage = coverageReport(result.imatrix, model.config, { texts: result.texts });
        const seconds = (performance.now() - started) / 1000;
        terminal.stdout.write(
          values.json
            ? `${JSON.stringify(summary(output, result, coverage, seconds))}\n`
            : describe(output, result, coverage),
        );
      } finally {
        await model.close();
      }
    } finally {
      await source.close();
    }
  },
});

function summary(
  output: string,
  { imatrix, chunks }: CalibrationResult,
  coverage: CoverageReport,
  seconds: number,
) {
  const { datasets, chunkCount, chunkSize, entries } = imatrix;
  return { output, datasets, chunks, chunkCount, chunkSize, entries: entries.size, seconds, coverage };
}

function describe(output: string, { imatrix, chunks }: CalibrationResult, coverage: CoverageReport): string {
  const { minTokens, layers, suggestions } = coverage;
  const lines = [
    `${output}: ${imatrix.entries.size} tensors from ${chunks} windows of ${imatrix.chunkSize} tokens`,
    ...(imatrix.chunkCount > chunks ? [`with earlier ones: ${imatrix.chunkCount} windows`] : []),
  ];
  if (layers.length > 0) {
    const percent = (share: number) => `${(share * 100).toFixed(1)}%`;
    const header = ['layer', 'experts', 'fewest tokens', 'median', `below ${minTokens}`, 'unseen'];
    const rows = layers.map((layer) => [
      String(layer.layer),
      String(layer.experts),
      String(layer.fewestTokens),
      String(layer.medianTokens),
      percent(layer.poorShare),
      String(layer.unseenExperts.length),
    ]);
    lines.push('', ...textTable([header, ...rows], [0, 1, 2, 3, 4, 5]));
    const atRisk = layers.flatMap(({ tensorsAtRisk }) => tensorsAtRisk);
    lines.push(
      '',
      atRisk.length === 0
        ? 'every expert saw enough text'
        : `at risk at low bits, and better kept at 3 or 4: ${atRisk.join(', ')}`,
      ...suggestions,
    );
  }
  return `${lines.join('\n')}\n`;
}
