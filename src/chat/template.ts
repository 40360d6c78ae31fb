import { CriaError } from '../base/errors.js';
import {
  BoundedInterpreter,
  TemplateExcess,
  TemplateRefusal,
  templateEnvironment,
} from './bounded-interpreter.js';
import { type JinjaProgram, parse, tokenize } from './jinja.js';
import type { Chat } from './messages.js';

/** Published templates have up to 30,000 characters; the parser's effort grows with the length. */
const MAX_TEMPLATE_CHARACTERS = 250_000;

export interface TemplateTokens {
  readonly bosToken?: string;
  readonly eosToken?: string;
}

/**
 * A model's chat template (Jinja, as transformers renders it: `trim_blocks`, `lstrip_blocks`). Rendering sees the
 * inputs given to it and nothing else, and ends in bounded time and space whatever the template says.
 */
export class ChatTemplate {
  readonly source: string;
  readonly #program: JinjaProgram;

  /** Throws `bad-chat-template` when the source is no template. */
  constructor(source: string) {
    if (source.length > MAX_TEMPLATE_CHARACTERS) {
      throw badTemplate(`expected at most ${MAX_TEMPLATE_CHARACTERS} characters, found ${source.length}`);
    }
    this.source = source;
    try {
      this.#program = parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true }));
    } catch (error) {
      throw badTemplate(reason(error), error);
    }
  }

  /**
   * The prompt as text, special tokens spelled out. Throws `chat-template-refused` when the template itself rejects
   * the messages, `bad-chat-template` when it fails or does far more than layout needs.
   */
  render(chat: Chat, tokens: TemplateTokens = {}, now = new Date()): string {
    const inputs = {
      ...chat.variables,
      messages: chat.messages,
      tools: chat.tools ?? null,
      documents: null,
      add_generation_prompt: chat.addGenerationPrompt ?? true,
      bos_token: tokens.bosToken ?? '',
      eos_token: tokens.eosToken ?? '',
    };
    try {
      const environment = templateEnvironment(inputs, now);
      const interpreter = new BoundedInterpreter(environment, JSON.stringify(inputs).length);
      return String(interpreter.run(this.#program).value);
    } catch (error) {
      if (error instanceof TemplateRefusal) {
        const message = `the chat template refuses these messages: ${error.message}`;
        throw new CriaError('usage', 'chat-template-refused', message, { cause: error });
      }
      if (error instanceof TemplateExcess) {
        throw badTemplate(`it makes ${error.message}, more than a prompt needs`, error);
      }
      throw badTemplate(reason(error), error);
    }
  }
}

function badTemplate(detail: string, cause?: unknown): CriaError {
  return new CriaError('bad-file', 'bad-chat-template', `the chat template cannot be used: ${detail}`, {
    cause,
  });
}

function reason(error: unknown): string {
  // Deeply nested or self-calling templates exhaust the stack.
  if (error instanceof RangeError) return 'it nests too deeply or grows without bound';
  return error instanceof Error ? error.message : String(error);
}
