import type { Option } from './options.js';
import type { Verb } from './verb.js';

export type Shell = 'bash' | 'zsh' | 'fish';

export const SHELLS: readonly Shell[] = ['bash', 'zsh', 'fish'];

type AnyOption = Option<unknown>;

/** A script that completes verbs, flags and their fixed values in `shell`, and file names elsewhere. Pure. */
export function completionScript(shell: Shell, verbs: readonly Verb[]): string {
  if (shell === 'fish') return fishScript(verbs);
  // zsh reads bash's completion functions once it is told to.
  const start = shell === 'zsh' ? '#compdef cria\nautoload -Uz bashcompinit && bashcompinit\n' : '';
  return start + bashScript(verbs);
}

function optionsOf(verb: Verb): AnyOption[] {
  return Object.values(verb.options);
}

/** Values an option may have, where its placeholder lists them: `f16|f32`. */
function fixedValues({ placeholder }: AnyOption): string[] {
  const values = placeholder?.split('|') ?? [];
  return values.length > 1 && values.every((value) => /^[a-z0-9_.-]+$/.test(value)) ? values : [];
}

function bashScript(verbs: readonly Verb[]): string {
  const firstWords = [...new Set(verbs.map(({ name }) => name.split(' ')[0]!))];
  const families = firstWords.filter((word) => verbs.some(({ name }) => name.startsWith(`${word} `)));
  const secondWords = families.map((family) => {
    const words = verbs
      .filter(({ name }) => name.startsWith(`${family} `))
      .map(({ name }) => name.split(' ')[1]);
    return `    ${family}) if (( COMP_CWORD == 2 )); then COMPREPLY=($(compgen -W "${words.join(' ')}" -- "$current")); return; fi ;;`;
  });
  const cases = verbs.map((verb) => {
    const flags = [...optionsOf(verb).flatMap((option) => option.flags), '--help'].join(' ');
    const values = optionsOf(verb)
      .filter((option) => fixedValues(option).length > 0)
      .map((option) => `        ${option.flags.join('|')}) values="${fixedValues(option).join(' ')}" ;;`);
    const choose = values.length === 0 ? [] : ['      case "$previous" in', ...values, '      esac'];
    return [`    '${verb.name}')`, `      flags="${flags}"`, ...choose, '      ;;'].join('\n');
  });
  return `_cria() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}"
  local verb="\${COMP_WORDS[1]}" flags="" values=""
  COMPREPLY=()
  if (( COMP_CWORD == 1 )); then
    COMPREPLY=($(compgen -W "${firstWords.join(' ')} --help --version" -- "$current"))
    return
  fi
  case "$verb" in
${secondWords.join('\n')}
  esac
  case "$verb" in ${families.join('|') || "''"}) verb="$verb \${COMP_WORDS[2]}" ;; esac
  case "$verb" in
${cases.join('\n')}
  esac
  if [[ -n "$values" ]]; then COMPREPLY=($(compgen -W "$values" -- "$current"))
  elif [[ "$current" == -* ]]; then COMPREPLY=($(compgen -W "$flags" -- "$current"))
  else COMPREPLY=($(compgen -f -- "$current")); fi
}
complete -o filenames -F _cria cria
`;
}

function fishScript(verbs: readonly Verb[]): string {
  const lines = ['complete -c cria -n __fish_use_subcommand -f -a "--help --version"'];
  const seen = new Set<string>();
  for (const verb of verbs) {
    const [first = '', second] = verb.name.split(' ');
    const about = fishText(verb.summary);
    if (second === undefined) {
      lines.push(`complete -c cria -n __fish_use_subcommand -f -a ${first} -d ${about}`);
    } else {
      if (!seen.has(first)) lines.push(`complete -c cria -n __fish_use_subcommand -f -a ${first}`);
      const inFamily = `'__fish_seen_subcommand_from ${first}; and not __fish_seen_subcommand_from ${second}'`;
      lines.push(`complete -c cria -n ${inFamily} -f -a ${second} -d ${about}`);
    }
    seen.add(first);
    const within = verb.name
      .split(' ')
      .map((word) => `__fish_seen_subcommand_from ${word}`)
      .join('; and ');
    for (const option of optionsOf(verb)) {
      const flags = option.flags.map(fishFlag).join(' ');
      const values = fixedValues(option);
      const argument =
        option.placeholder === undefined ? '' : values.length > 0 ? ` -x -a "${values.join(' ')}"` : ' -r';
      lines.push(`complete -c cria -n '${within}' ${flags}${argument} -d ${fishText(option.help)}`);
    }
  }
  return `${lines.join('\n')}\n`;
}

/** fish tells one-letter flags, long flags and long flags with a single dash apart. */
function fishFlag(flag: string): string {
  if (flag.startsWith('--')) return `-l ${flag.slice(2)}`;
  return flag.length === 2 ? `-s ${flag.slice(1)}` : `-o ${flag.slice(1)}`;
}

function fishText(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
