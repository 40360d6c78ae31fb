import { CriaError } from '../base/errors.js';
import { ChatTemplate, RECOMMENDED_SYSTEM_PROMPT } from '../chat/index.js';
import { processEscapes } from './escapes.js';
import type { OptionValues } from './options.js';
import type { RUN_OPTIONS } from './run-options.js';
import { readPromptInput, readTextInput } from './text-input.js';
import type { Terminal } from './verb.js';

export interface RunInput {
  readonly prompt: string | undefined;
  readonly system: string | undefined;
  readonly template: string | undefined;
}

/**
 * The texts of one `cria run`. The prompt is -p, else -f, else standard input unless that is a terminal or, with
 * -cnv, the chat itself.
 */
export async function readRunInput(
  terminal: Terminal,
  values: OptionValues<typeof RUN_OPTIONS>,
): Promise<RunInput> {
  refuseBoth('-p', values.prompt, '-f', values.file);
  refuseBoth('-sys', values.system, '-sysf', values.systemFile);
  const typed = (text: string) => (values.escape === false ? text : processEscapes(text));
  const fromPipe = terminal.stdin.isTTY !== true && values.conversation !== true;
  const file = values.file ?? (values.prompt === undefined && fromPipe ? '-' : undefined);
  const prompt = values.prompt !== undefined ? typed(values.prompt) : await optionalText(terminal, file);
  if (prompt === '' && values.conversation !== false) {
    throw new CriaError('usage', 'empty-prompt', 'expected a prompt, found an empty text');
  }
  if (prompt === undefined && (values.conversation === false || values.singleTurn)) {
    const flag = values.singleTurn ? '--single-turn' : '-no-cnv';
    throw new CriaError(
      'usage',
      'missing-argument',
      `missing prompt: ${flag} expects -p, -f or standard input`,
    );
  }
  const template =
    values.templateFile === undefined ? undefined : await readTextInput(terminal, values.templateFile);
  // A template that cannot be used is better known before a large model is loaded than after.
  if (template !== undefined) new ChatTemplate(template);
  return {
    prompt,
    system:
      values.system !== undefined
        ? systemPrompt(typed(values.system))
        : await optionalText(terminal, values.systemFile),
    template,
  };
}

function systemPrompt(text: string): string {
  return text === 'recommended' ? RECOMMENDED_SYSTEM_PROMPT : text;
}

/** Files end in a newline that is no part of the text. */
async function optionalText(terminal: Terminal, path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined;
  return readPromptInput(terminal, path);
}

function refuseBoth(flagA: string, a: unknown, flagB: string, b: unknown): void {
  if (a !== undefined && b !== undefined) {
    throw new CriaError('usage', 'conflicting-options', `expected ${flagA} or ${flagB}, found both`);
  }
}
