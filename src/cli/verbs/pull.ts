import { dirname, resolve } from 'node:path';
import { formatBytes } from '../../base/byte-size.js';
import { createProgress, type ProgressOptions } from '../../base/progress.js';
import { textTable } from '../../formats/text-table.js';
import { displayName, type ModelName, type PullPlan, requireModelName } from '../../hub/index.js';
import { withPullPlan } from '../../hub/pull.js';
import { CACHE_FOLDER, hubSettings, REVISION } from '../hub-options.js';
import { integer, onOff, text, texts, toggle } from '../options.js';
import { defineVerb, type Terminal } from '../verb.js';

export const pull = defineVerb({
  name: 'pull',
  summary: 'Fetch a model from the Hub',
  details:
    'MODEL is scout, maverick, user/repo or a huggingface.co address, with a type behind a colon. Without a type, files or patterns it is Q4_K_M, Q8_0 or the first GGUF model of the repository, or its checkpoint. The files go where huggingface_hub and llama.cpp keep theirs. What is interrupted goes on with the same command. The path of the model is printed.',
  positionals: [
    { name: 'MODEL', help: 'the model, or the repository' },
    { name: 'FILE', help: 'files or folders of the repository to fetch', many: true, optional: true },
  ],
  examples: [
    'cria pull scout',
    'cria pull maverick:UD-IQ2_XXS',
    'cria pull hf.co/unsloth/Llama-4-Scout-17B-16E-Instruct-GGUF:IQ4_XS --local-dir scout',
    "cria pull user/repo --include '*IQ2_XXS*' --dry-run",
  ],
  options: {
    include: texts(['--include'], 'PATTERN', { help: "files that match, as '*Q4_K_M*'; may be repeated" }),
    exclude: texts(['--exclude'], 'PATTERN', { help: 'but not those that match; may be repeated' }),
    revision: REVISION,
    localFolder: text(['--local-dir'], 'FOLDER', { help: 'put the files here instead of in the cache' }),
    cacheFolder: CACHE_FOLDER,
    token: text(['--token', '-hft', '--hf-token'], 'TOKEN', {
      help: 'for gated and private repositories (default: HF_TOKEN, or what `hf auth login` stored)',
    }),
    mmproj: onOff(['--mmproj-auto'], ['--no-mmproj'], {
      help: 'fetch the projector for pictures along with a model (default yes)',
    }),
    connections: integer(['--max-workers'], {
      initial: 8,
      min: 1,
      max: 64,
      help: 'parts on their way at once',
    }),
    dryRun: toggle(['--dry-run'], { help: 'only list the files' }),
    json: toggle(['--json'], { help: 'print one JSON object' }),
    quiet: toggle(['-q', '--quiet'], { help: 'show no progress' }),
  },
  run: async (terminal, { positionals: [model = '', ...paths], values }) => {
    const name = requireModelName(model);
    const settings = await hubSettings(values);
    const { include, exclude, revision, connections, mmproj = true } = values;
    const localFolder = values.localFolder === undefined ? undefined : resolve(values.localFolder);
    const options = {
      include,
      exclude,
      paths,
      revision,
      mmproj,
      localFolder,
      connections,
      signal: terminal.signal,
    };
    await withPullPlan(name, settings, options, async (plan) => {
      if (!values.dryRun) await fetchFiles(terminal, plan, values.quiet);
      terminal.stdout.write(
        values.json ? `${toJson(plan)}\n` : values.dryRun ? fileTable(plan) : `${mainPath(plan)}\n`,
      );
      const chosen = paths.length > 0 || include.length > 0 || name.path !== undefined;
      if (values.dryRun || values.json || values.quiet || chosen) return;
      terminal.stderr.write(`${runHint(plan, name, localFolder !== undefined)}\n`);
    });
  },
});

async function fetchFiles(terminal: Terminal, plan: PullPlan, quiet: boolean): Promise<void> {
  const { files, totalBytes, presentBytes } = plan;
  const progress = createProgress({
    label: files.length === 1 ? 'pulling' : `pulling ${files.length} files`,
    unit: 'bytes',
    total: totalBytes,
    initial: presentBytes,
    stream: terminal.stderr as ProgressOptions['stream'],
    quiet,
  });
  try {
    await plan.run((done) => progress.update(done));
    progress.finish();
  } catch (error) {
    progress.fail();
    throw error;
  }
}

/** The GGUF file to open, or the folder that has the files. */
function mainPath({ files }: PullPlan): string {
  const [first] = files;
  if (first === undefined) return '';
  if (files.length === 1 || /\.gguf$/i.test(first.path)) return first.localPath;
  return first.path.split('/').reduce((path) => dirname(path), first.localPath);
}

function runHint(plan: PullPlan, { repo, quant }: ModelName, local: boolean): string {
  const name = quant === undefined || local ? undefined : displayName(repo, quant);
  return `cria run ${name ?? mainPath(plan)}`;
}

function fileTable({ files, totalBytes, presentBytes }: PullPlan): string {
  const rows = files.map(({ path, size }) => [path, formatBytes(size)]);
  const lines = textTable([...rows, ['total', formatBytes(totalBytes)]], [1]);
  return `${lines.join('\n')}\n${formatBytes(totalBytes - presentBytes)} to fetch\n`;
}

function toJson({ repo, revision, commit, files, totalBytes, presentBytes }: PullPlan): string {
  return JSON.stringify({ repo, revision, commit, files, totalBytes, presentBytes }, null, 1);
}
