import { createHash } from 'node:crypto';
import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CriaError } from '../../base/errors.js';
import { fileError } from '../../base/file-errors.js';
import { openModel } from '../../convert/open-model.js';
import {
  BaseFile,
  type DivergenceResult,
  evaluateDivergence,
  evaluateDivergenceFromBase,
  writeBaseFile,
} from '../../evaluate/index.js';
import { modelFingerprint } from '../../formats/fingerprint.js';
import type { TensorSource } from '../../formats/tensor-source.js';
import { type LoadOptions, loadFromSource, loadModel } from '../../generate/load-model.js';
import { CACHE_EXPERTS } from '../expert-cache.js';
import { modelPath } from '../model-argument.js';
import { text, toggle } from '../options.js';
import { BATCH_SIZE, MODEL, REPACK, THREADS, WINDOW_OPTIONS } from '../shared-options.js';
import { readPromptInput } from '../text-input.js';
import { defineVerb, type Terminal } from '../verb.js';
import { withProgress } from '../work-progress.js';

export const evaluateDivergenceVerb = defineVerb({
  name: 'evaluate divergence',
  summary: 'Measure how far a model is from its reference on a text',
  details:
    'By default both models run side by side and are compared in full precision. With --kl-divergence-base or ' +
    '--reference-cache the reference runs first and its log-probabilities are stored in 16 bits, as ' +
    'llama-perplexity stores them: then only one model is in memory at a time, and the next comparison needs no ' +
    'reference run.',
  positionals: [MODEL],
  examples: ['cria evaluate divergence scout.gguf --reference scout-bf16.gguf -f evaluation.txt'],
  options: {
    reference: text(['--reference'], 'MODEL', {
      help: 'the model to compare with, as it was before quantizing',
    }),
    file: text(['-f', '--file'], 'FILE', {
      help: 'the text (- for standard input); required unless a stored base is read',
    }),
    base: text(['--kl-divergence-base'], 'FILE', {
      help: 'with --reference: store its log-probabilities here; without: compare with those stored here (by Cria or by llama-perplexity)',
    }),
    cache: text(['--reference-cache'], 'FOLDER', {
      help: 'store and reuse the log-probabilities in this folder, found by the content of reference and text',
    }),
    ...WINDOW_OPTIONS,
    threads: THREADS,
    batchSize: BATCH_SIZE,
    cacheExperts: CACHE_EXPERTS,
    repack: REPACK,
    json: toggle(['--json'], { help: 'print one JSON object' }),
  },
  run: async (terminal, { positionals: [path = ''], values, given }) => {
    const { reference, base, cache, threads, batchSize, repack, cacheExperts } = values;
    if (base !== undefined && cache !== undefined) {
      throw usage(
        'unexpected-option',
        'expected one of --kl-divergence-base and --reference-cache, found both',
      );
    }
    if (reference === undefined && base === undefined) {
      throw usage('missing-argument', 'missing reference: expected --reference MODEL');
    }
    if (values.file === undefined && reference !== undefined) {
      throw usage('missing-argument', 'missing text: expected -f FILE');
    }
    const run: Run = {
      terminal,
      load: { threads, batchSize, repack, signal: terminal.signal },
      cacheExperts,
      content: values.file === undefined ? undefined : await readPromptInput(terminal, values.file),
      contextSize: given.has('contextSize') || reference !== undefined ? values.contextSize : undefined,
      chunks: values.chunks < 1 ? undefined : values.chunks,
    };
    const result = await compare(run, await modelPath(path), {
      ...values,
      reference: reference === undefined ? undefined : await modelPath(reference),
    });
    terminal.stdout.write(values.json ? `${JSON.stringify(result)}\n` : describe(result));
  },
});

interface Run {
  readonly terminal: Terminal;
  readonly load: Pick<LoadOptions, 'threads' | 'batchSize' | 'repack' | 'signal'>;
  /** Of the model that is measured; the reference is loaded as a whole. */
  readonly cacheExperts: number | undefined;
  readonly content: string | undefined;
  /** Absent: that of the base file. */
  readonly contextSize: number | undefined;
  readonly chunks: number | undefined;
}

async function compare(
  run: Run,
  path: string,
  { reference, base, cache }: Partial<Record<'reference' | 'base' | 'cache', string>>,
): Promise<DivergenceResult> {
  if (reference === undefined) return compareWithBase(run, path, base!);
  if (base === undefined && cache === undefined) return compareSideBySide(run, path, reference);
  // Running the reference can take hours: a wrong name of the other model should show before.
  await (await openModel(path)).close();
  const source = await openModel(reference);
  let stored: string;
  try {
    stored = base ?? (await cachePath(run, source, cache!));
    if (base !== undefined || !(await exists(stored))) await storeReference(run, source, stored);
  } finally {
    await source.close();
  }
  return compareWithBase(run, path, stored);
}

async function compareSideBySide(run: Run, path: string, reference: string): Promise<DivergenceResult> {
  const { terminal, load, cacheExperts, content = '', contextSize, chunks } = run;
  const model = await loadModel(path, { ...load, cacheExperts, contextSize });
  try {
    const other = await loadModel(reference, { ...load, contextSize });
    try {
      return await withProgress(terminal, COMPARING, (onProgress) =>
        evaluateDivergence(model, other, content, { contextSize, chunks, onProgress, signal: load.signal }),
      );
    } finally {
      await other.close();
    }
  } finally {
    await model.close();
  }
}

async function compareWithBase(run: Run, path: string, basePath: string): Promise<DivergenceResult> {
  const { terminal, load, cacheExperts, content, contextSize, chunks } = run;
  const base = await BaseFile.open(basePath);
  try {
    if (contextSize !== undefined && contextSize !== base.contextSize) {
      const found = `-c ${contextSize}`;
      throw usage('base-mismatch', `'${basePath}' has windows of ${base.contextSize} tokens, found ${found}`);
    }
    const model = await loadModel(path, { ...load, cacheExperts, contextSize: base.contextSize });
    try {
      return await withProgress(terminal, COMPARING, (onProgress) =>
        evaluateDivergenceFromBase(model, base, { text: content, chunks, onProgress, signal: load.signal }),
      );
    } finally {
      await model.close();
    }
  } finally {
    await base.close();
  }
}

async function storeReference(
  { terminal, load, content = '', contextSize, chunks }: Run,
  source: TensorSource,
  path: string,
): Promise<void> {
  const model = await loadFromSource(source, { ...load, contextSize });
  try {
    await withProgress(terminal, { label: 'evaluating the reference', unit: 'items' }, (onProgress) =>
      writeBaseFile(path, model, content, { contextSize, chunks, onProgress, signal: load.signal }),
    );
  } finally {
    await model.close();
  }
}

/** Where the log-probabilities of a reference belong in the cache folder, which is made if it is not there. */
async function cachePath(run: Run, source: TensorSource, folder: string): Promise<string> {
  const { load, content, contextSize, chunks = 'all' } = run;
  await mkdir(folder, { recursive: true }).catch((error) => {
    throw fileError(error, 'create', folder);
  });
  const fingerprint = await modelFingerprint(source, load.signal);
  const key = JSON.stringify([fingerprint, content, contextSize, chunks]);
  return join(folder, `${createHash('sha256').update(key).digest('hex').slice(0, 32)}.kld`);
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

const COMPARING = { label: 'comparing', unit: 'items' } as const;

function usage(code: string, message: string): CriaError {
  return new CriaError('usage', code, message);
}

function describe(result: DivergenceResult): string {
  const withError = (value: number, error: number, digits = 6) =>
    `${value.toFixed(digits)} ± ${error.toFixed(digits)}`;
  const rows: [string, string][] = [
    ['KL divergence, mean', `${withError(result.meanKld, result.meanKldError)} nats`],
    ['  median', result.medianKld.toFixed(6)],
    ['  90%', result.kld90.toFixed(6)],
    ['  95%', result.kld95.toFixed(6)],
    ['  99%', result.kld99.toFixed(6)],
    ['  99.9%', result.kld999.toFixed(6)],
    ['  largest', result.maxKld.toFixed(6)],
    ['same top token', `${withError(result.sameTopPercent, result.sameTopPercentError, 3)} %`],
    ['perplexity', withError(result.perplexity, result.perplexityError)],
    ['  of the reference', withError(result.referencePerplexity, result.referencePerplexityError)],
    ['  ratio', withError(result.perplexityRatio, result.perplexityRatioError)],
    ['  ln ratio', withError(result.meanLogPerplexityRatio, result.meanLogPerplexityRatioError)],
    ['  correlation', `${(100 * result.logLikelihoodCorrelation).toFixed(2)} %`],
    ['change of p, mean', `${withError(result.meanDeltaP, result.meanDeltaPError, 3)} %`],
    ['  root mean square', `${result.rmsDeltaP.toFixed(3)} %`],
  ];
  const { tokens, chunks, contextSize, seconds } = result;
  return [
    ...rows.map(([name, value]) => `${name.padEnd(22)}${value}`),
    `${tokens} tokens scored in ${chunks} windows of ${contextSize}, ${seconds.toFixed(1)} s`,
    '',
  ].join('\n');
}
