import { CriaError } from '../../base/errors.js';
import { evaluatePerplexity, type PerplexityResult } from '../../evaluate/index.js';
import { loadModel } from '../../generate/load-model.js';
import { CACHE_EXPERTS } from '../expert-cache.js';
import { modelPath } from '../model-argument.js';
import { text, toggle } from '../options.js';
import { BATCH_SIZE, MODEL, REPACK, THREADS, WINDOW_OPTIONS } from '../shared-options.js';
import { readPromptInput } from '../text-input.js';
import { defineVerb } from '../verb.js';
import { withProgress } from '../work-progress.js';

export const evaluatePerplexityVerb = defineVerb({
  name: 'evaluate perplexity',
  summary: 'Measure how well a model predicts a text',
  details:
    'The windows are those of llama-perplexity, so that the figures compare: of each, the second half is scored.',
  positionals: [MODEL],
  examples: ['cria evaluate perplexity scout.gguf -f evaluation.txt'],
  options: {
    file: text(['-f', '--file'], 'FILE', { help: 'the text (- for standard input); required' }),
    ...WINDOW_OPTIONS,
    threads: THREADS,
    batchSize: BATCH_SIZE,
    repack: REPACK,
    cacheExperts: CACHE_EXPERTS,
    json: toggle(['--json'], { help: 'print one JSON object' }),
  },
  run: async (terminal, { positionals: [argument = ''], values }) => {
    const { contextSize, threads, batchSize, repack, cacheExperts } = values;
    if (values.file === undefined) {
      throw new CriaError('usage', 'missing-argument', 'missing text: expected -f FILE');
    }
    const path = await modelPath(argument);
    const content = await readPromptInput(terminal, values.file);
    const { signal } = terminal;
    const model = await loadModel(path, { threads, contextSize, batchSize, repack, cacheExperts, signal });
    try {
      const result = await withProgress(terminal, { label: 'evaluating', unit: 'items' }, (report) =>
        evaluatePerplexity(model, content, {
          contextSize,
          chunks: values.chunks < 1 ? undefined : values.chunks,
          onProgress: report,
          signal,
        }),
      );
      terminal.stdout.write(values.json ? `${JSON.stringify(result)}\n` : describe(result));
    } finally {
      await model.close();
    }
  },
});

function describe(result: PerplexityResult): string {
  const { perplexity, perplexityError, meanNll, tokens, chunks, seconds } = result;
  return [
    `perplexity ${perplexity.toFixed(4)} ± ${perplexityError.toFixed(4)} (mean negative log-likelihood ${meanNll.toFixed(6)})`,
    `${tokens} tokens scored in ${chunks} windows, ${seconds.toFixed(1)} s`,
    '',
  ].join('\n');
}
