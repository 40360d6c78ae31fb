import { formatBytes } from '../../base/byte-size.js';
import { textTable } from '../../formats/text-table.js';
import { type CachedModel, modelsOf, readCache } from '../../hub/index.js';
import { CACHE_FOLDER, hubSettings } from '../hub-options.js';
import { toggle } from '../options.js';
import { defineVerb } from '../verb.js';

export const list = defineVerb({
  name: 'list',
  summary: 'Show the models that have been fetched',
  details:
    'Models that huggingface_hub or llama.cpp fetched are among them. The names are those that cria run takes.',
  positionals: [],
  examples: ['cria list', "cria list --json | jq '.[].path'"],
  options: {
    cacheFolder: CACHE_FOLDER,
    json: toggle(['--json'], { help: 'print a JSON array' }),
  },
  run: async (terminal, { values }) => {
    const { cacheFolder } = await hubSettings(values);
    const models = (await readCache(cacheFolder)).flatMap(modelsOf);
    if (values.json) {
      terminal.stdout.write(`${JSON.stringify(models.map(toJson), null, 1)}\n`);
    } else if (models.length === 0) {
      terminal.stderr.write(`no models in '${cacheFolder}': 'cria pull scout' fetches one\n`);
    } else {
      terminal.stdout.write(`${table(models).join('\n')}\n`);
    }
  },
});

function table(models: readonly CachedModel[]): string[] {
  const rows = models.map(({ name, size, quant, modified, path }) => [
    name,
    formatBytes(size),
    quant ?? '-',
    modified.toISOString().slice(0, 16).replace('T', ' '),
    path,
  ]);
  return textTable([['NAME', 'SIZE', 'TYPE', 'MODIFIED (UTC)', 'PATH'], ...rows], [1]);
}

function toJson({ name, repo, quant, commit, size, modified, path, files }: CachedModel): object {
  return { name, repo, quant, commit, size, modified, path, files: files.map(({ localPath }) => localPath) };
}
