import { formatBytes } from '../../base/byte-size.js';
import { CriaError } from '../../base/errors.js';
import { textTable } from '../../formats/text-table.js';
import { planRemoval, type Removal, requireModelName } from '../../hub/index.js';
import { CACHE_FOLDER, hubSettings } from '../hub-options.js';
import { LineReader } from '../line-reader.js';
import { text, toggle } from '../options.js';
import { defineVerb, type Terminal } from '../verb.js';

export const rm = defineVerb({
  name: 'rm',
  summary: 'Remove a fetched model',
  details:
    'user/repo:TYPE is one model, user/repo everything of the repository. What another revision still uses stays on the disk.',
  positionals: [{ name: 'NAME', help: 'a model as cria list shows it, or a repository' }],
  examples: ['cria rm scout:UD-IQ2_XXS', 'cria rm user/repo --yes'],
  options: {
    yes: toggle(['-y', '--yes'], { help: 'do not ask' }),
    revision: text(['--revision'], 'R', { help: 'only of this branch, tag or commit (default: of all)' }),
    cacheFolder: CACHE_FOLDER,
  },
  run: async (terminal, { positionals: [argument = ''], values }) => {
    const name = requireModelName(argument);
    const { cacheFolder } = await hubSettings(values);
    const removal = await planRemoval({ ...name, revision: values.revision ?? name.revision }, cacheFolder);
    if (!values.yes) await confirm(terminal, removal);
    await removal.run();
    terminal.stderr.write(`removed, ${formatBytes(removal.freedBytes)} freed\n`);
  },
});

/** Throws `not-confirmed` (usage) when nobody can answer, `cancelled` when the answer is not yes. */
async function confirm(terminal: Terminal, { files, freedBytes }: Removal): Promise<void> {
  const rows = files.map(({ localPath, size }) => [`  ${localPath}`, formatBytes(size)]);
  terminal.stderr.write(`${textTable(rows, [1]).join('\n')}\n`);
  if (!terminal.stdin.isTTY) {
    throw new CriaError(
      'usage',
      'not-confirmed',
      'nothing removed: expected --yes, as there is nobody to ask',
    );
  }
  const lines = new LineReader(terminal);
  try {
    const answer = await lines.next(`Remove these and free ${formatBytes(freedBytes)}? [y/N] `);
    if (answer.kind === 'line' && /^\s*y(es)?\s*$/i.test(answer.text)) return;
  } finally {
    lines.close();
  }
  throw new CriaError('cancelled', 'cancelled', 'nothing removed');
}
