import { CriaError } from '../../base/errors.js';
import {
  BUILT_IN_TASKS,
  type Complete,
  chatEndpoint,
  describeRound,
  evaluateTasks,
  readTasks,
  resultsTable,
  SampleStore,
  type Task,
} from '../../evaluate/tasks/index.js';
import { loadModel } from '../../generate/load-model.js';
import { CACHE_EXPERTS } from '../expert-cache.js';
import { LORA } from '../lora-options.js';
import { resolveModel } from '../model-argument.js';
import { modelCompletion } from '../model-completion.js';
import { decimal, integer, type OptionValues, text, texts, toggle } from '../options.js';
import { BATCH_SIZE, REPACK, THREADS } from '../shared-options.js';
import { readTextInput } from '../text-input.js';
import { defineVerb, type Terminal } from '../verb.js';
import { withProgress } from '../work-progress.js';

const TASKS = 'Tasks';
const ANSWERS = 'Answers';
const SERVER = 'From a server instead of MODEL';
const ENGINE = 'Engine';

const OPTIONS = {
  tasks: texts(['--task'], 'NAME', {
    group: TASKS,
    help: `one of ${BUILT_IN_TASKS.map(({ name }) => name).join(', ')}, or of --tasks-file; may be repeated (default: all of the file, or all four)`,
  }),
  file: text(['--tasks-file'], 'FILE', {
    group: TASKS,
    help: 'tasks of your own, as JSON Lines or a JSON array (docs/tasks.md); - for standard input',
  }),
  samples: integer(['--samples'], {
    group: TASKS,
    initial: 1,
    min: 1,
    max: 1000,
    help: 'samples of each task',
  }),
  rounds: integer(['--rounds'], {
    group: TASKS,
    initial: 3,
    min: 1,
    max: 100,
    help: 'answers per sample at most: after each that fails the model is told what was wrong',
  }),
  output: text(['-o', '--output'], 'DIR', {
    group: TASKS,
    help: 'keep transcripts and results here; the same command again asks only for what is missing',
  }),
  json: toggle(['--json'], { group: TASKS, help: 'print one JSON object' }),
  temperature: decimal(['--temp', '--temperature'], {
    group: ANSWERS,
    initial: 0.6,
    min: 0,
    help: 'temperature; 0 makes all samples of a model the same',
  }),
  seed: integer(['-s', '--seed'], {
    group: ANSWERS,
    initial: 1,
    min: 0,
    max: 2 ** 32 - 1,
    help: 'of the first sample',
  }),
  predict: integer(['-n', '--predict', '--n-predict'], {
    group: ANSWERS,
    initial: -1,
    min: -1,
    help: 'tokens of an answer at most; -1 until it ends or the context is full',
  }),
  endpoint: text(['--endpoint'], 'URL', {
    group: SERVER,
    help: "address of a server with OpenAI's chat API, as http://localhost:8080/v1; its key is read from OPENAI_API_KEY",
  }),
  model: text(['--model'], 'NAME', {
    group: SERVER,
    help: 'the model to ask for there; required with --endpoint',
  }),
  parallel: integer(['-np', '--parallel'], {
    group: SERVER,
    initial: 1,
    min: 1,
    max: 64,
    help: 'samples asked for at the same time',
  }),
  timeout: integer(['--timeout'], {
    group: SERVER,
    initial: 600,
    min: 1,
    max: 86_400,
    help: 'seconds to wait for an answer',
  }),
  contextSize: integer(['-c', '--ctx-size'], {
    group: ENGINE,
    initial: undefined,
    min: 0,
    help: "tokens of context; 0 for the model's own limit (default: that, at most 8192)",
  }),
  threads: { ...THREADS, group: ENGINE },
  batchSize: { ...BATCH_SIZE, group: ENGINE },
  repack: { ...REPACK, group: ENGINE },
  cacheExperts: { ...CACHE_EXPERTS, group: ENGINE },
  adapters: { ...LORA, group: ENGINE },
};

type Values = OptionValues<typeof OPTIONS>;

export const evaluateTasksVerb = defineVerb({
  name: 'evaluate tasks',
  summary: 'Have a model write small games, run them, and count what works',
  details:
    'Each answer is run in a sandbox without network and files, in limited time and memory, and checked by playing. ' +
    'What fails is told to the model, which may correct it. The table says how likely one of k first answers passes ' +
    '(pass@k), and how many samples passed in the end.',
  positionals: [
    {
      name: 'MODEL',
      optional: true,
      help: 'a GGUF file, the first part of a split one, a checkpoint folder, or the name of a pulled model',
    },
  ],
  examples: [
    'cria evaluate tasks scout.gguf -c 32768 -o results',
    'cria evaluate tasks scout.gguf --task flappy-bird --samples 5 --rounds 3',
    'cria evaluate tasks --endpoint http://localhost:8080/v1 --model scout --samples 10 -np 4 -o results',
    'cria evaluate tasks scout.gguf --tasks-file mine.jsonl --json',
  ],
  options: OPTIONS,
  run: async (terminal, { positionals: [argument], values }) => {
    checkSource(argument, values);
    const tasks = await chooseTasks(terminal, values);
    const { temperature, seed, samples, rounds, parallel } = values;
    const maxTokens = values.predict < 0 ? undefined : values.predict;
    const adapters = values.adapters.map(({ path, scale = 1 }) => `${path} × ${scale}`);
    const model = [values.model ?? argument!, ...adapters].join(' + ');
    const settings = { model, temperature, seed, maxTokens };
    const store =
      values.output === undefined ? undefined : await SampleStore.open(values.output, settings, tasks);
    const { complete, close } = await openSource(terminal, argument, values, maxTokens);
    try {
      const evaluation = await withProgress(terminal, { label: 'samples', unit: 'items' }, (onProgress) =>
        evaluateTasks({
          tasks,
          complete,
          samples,
          rounds,
          seed,
          parallel: values.endpoint === undefined ? 1 : parallel,
          store,
          onProgress,
          onRound: ({ name }, { sample, rounds: done }) => {
            const line = `${name}, sample ${sample}, answer ${done.length}: ${describeRound(done.at(-1)!)}`;
            terminal.stderr.write(`${terminal.stderr.isTTY ? '\r\u001b[K' : ''}${line}\n`);
          },
          signal: terminal.signal,
        }),
      );
      const table = resultsTable(evaluation.results, rounds);
      const results = { ...settings, rounds, tasks: evaluation.results };
      await store?.writeResults(results, table);
      terminal.stdout.write(values.json ? `${JSON.stringify(results)}\n` : table);
    } finally {
      await close();
    }
  },
});

function checkSource(argument: string | undefined, { endpoint, model }: Values): void {
  if (argument === undefined && endpoint === undefined) {
    throw usage(
      'missing-argument',
      "missing MODEL: expected 'cria evaluate tasks MODEL', or --endpoint URL --model NAME",
    );
  }
  if (argument !== undefined && endpoint !== undefined) {
    throw usage(
      'conflicting-options',
      `expected MODEL or --endpoint, found both '${argument}' and '${endpoint}'`,
    );
  }
  if (endpoint !== undefined && model === undefined) {
    throw usage('missing-argument', 'missing name: --endpoint expects --model NAME');
  }
  if (endpoint === undefined && model !== undefined) {
    throw usage(
      'unexpected-option',
      `--model is the name of a model at --endpoint: expected '${model}' as MODEL`,
    );
  }
}

async function chooseTasks(terminal: Terminal, { tasks: names, file }: Values): Promise<readonly Task[]> {
  const source = file === '-' ? 'standard input' : `'${file}'`;
  const own = file === undefined ? [] : readTasks(await readTextInput(terminal, file), source);
  if (names.length === 0) return file === undefined ? BUILT_IN_TASKS : own;
  const known = [...BUILT_IN_TASKS, ...own];
  return [...new Set(names)].map((wanted) => {
    const task = known.find(({ name }) => name === wanted);
    if (task) return task;
    const expected = known.map(({ name }) => name).join(', ');
    throw usage('bad-value', `--task expects one of ${expected}, found '${wanted}'`);
  });
}

async function openSource(
  terminal: Terminal,
  argument: string | undefined,
  values: Values,
  maxTokens: number | undefined,
): Promise<{ readonly complete: Complete; close(): Promise<void> }> {
  const { temperature, endpoint, model: name } = values;
  if (endpoint !== undefined) {
    const apiKey = process.env.OPENAI_API_KEY || undefined;
    const complete = chatEndpoint({
      url: endpoint,
      model: name!,
      apiKey,
      temperature,
      maxTokens,
      timeoutSeconds: values.timeout,
    });
    return { complete, close: async () => {} };
  }
  const { contextSize, threads, batchSize, repack, cacheExperts, adapters } = values;
  const { path } = await resolveModel(argument!);
  const { signal } = terminal;
  const model = await loadModel(path, {
    contextSize,
    threads,
    batchSize,
    repack,
    cacheExperts,
    adapters,
    signal,
    onWarning: (warning) => terminal.stderr.write(`cria: ${warning}\n`),
  });
  return { complete: modelCompletion(model, { temperature, maxTokens }), close: () => model.close() };
}

function usage(code: string, message: string): CriaError {
  return new CriaError('usage', code, message);
}
