import { CriaError } from '../../base/errors.js';
import { completionScript, SHELLS } from '../completion.js';
import { defineVerb } from '../verb.js';

export const completion = defineVerb({
  name: 'completion',
  summary: 'Print a script that completes commands in bash, zsh or fish',
  details: 'Load it where the shell starts; it knows every verb, flag and fixed value.',
  positionals: [{ name: 'SHELL', help: 'bash, zsh or fish' }],
  examples: [
    'source <(cria completion bash)',
    'cria completion zsh > ~/.zfunc/_cria',
    'cria completion fish > ~/.config/fish/completions/cria.fish',
  ],
  options: {},
  run: async (terminal, { positionals: [name] }) => {
    const shell = SHELLS.find((known) => known === name);
    if (shell === undefined) {
      throw new CriaError('usage', 'bad-value', `SHELL expects one of ${SHELLS.join(', ')}, found '${name}'`);
    }
    // Loaded here, as the list of verbs holds this one.
    const { VERBS } = await import('./index.js');
    const verbs = await Promise.all(Object.values(VERBS).map(({ load }) => load()));
    terminal.stdout.write(completionScript(shell, verbs));
  },
});
