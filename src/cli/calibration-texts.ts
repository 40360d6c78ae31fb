import { createHash } from 'node:crypto';
import { CriaError } from '../base/errors.js';
import { findJsonFault } from '../base/json-text.js';
import { type ChatFormat, type ChatMessage, type ChatModel, chatFormat } from '../chat/index.js';
import type { CalibrationText } from '../dynamic/calibrate.js';
import { readPromptInput } from './text-input.js';
import type { Terminal } from './verb.js';

/** Chats nest this deep with tool calls and their arguments, and some levels more. */
const MAX_JSON_DEPTH = 32;

export interface TextFile {
  readonly path: string;
  readonly content: string;
}

/** Throws what reading throws, before a model is loaded for nothing. */
export async function readTextFiles(terminal: Terminal, paths: readonly string[]): Promise<TextFile[]> {
  const files: TextFile[] = [];
  for (const path of paths) files.push({ path, content: await readPromptInput(terminal, path) });
  return files;
}

/**
 * Texts to calibrate on, as the model's tokens. A `.jsonl` file holds one chat per line, `{ "messages": [...] }` with
 * perhaps `tools`, laid out by the model's template; any other file is plain text, in which special tokens count as
 * such only with `parseSpecial`. Throws (bad-file) `bad-jsonl`, and what the template throws.
 */
export function encodeCalibrationTexts(
  files: readonly TextFile[],
  model: ChatModel,
  parseSpecial: boolean,
): CalibrationText[] {
  return files.map(({ path, content }) => ({
    name: path,
    ids: path.endsWith('.jsonl')
      ? encodeChats(content, path, chatFormat(model))
      : model.tokenizer.encode(content, { addBos: true, parseSpecial }),
    sha256: createHash('sha256').update(content).digest('hex'),
  }));
}

function encodeChats(content: string, path: string, format: ChatFormat): number[] {
  const ids: number[] = [];
  for (const [i, line] of content.split('\n').entries()) {
    if (line.trim() === '') continue;
    const { messages, tools } = parseChat(line, `'${path}' line ${i + 1}`);
    for (const id of format.encode({ messages, tools, addGenerationPrompt: false })) ids.push(id);
  }
  return ids;
}

interface ChatLine {
  readonly messages: readonly ChatMessage[];
  readonly tools?: readonly Readonly<Record<string, unknown>>[];
}

function parseChat(line: string, at: string): ChatLine {
  let value: unknown;
  try {
    if (!findJsonFault(line, MAX_JSON_DEPTH)) value = JSON.parse(line);
  } catch {
    // Falls through to the one message for whatever is no chat.
  }
  if (!isChat(value)) {
    throw new CriaError(
      'bad-file',
      'bad-jsonl',
      `${at}: expected a chat, {"messages": [{"role": …, "content": …}, …]}, found something else`,
    );
  }
  return value;
}

function isChat(value: unknown): value is ChatLine {
  const { messages, tools } = (value ?? {}) as Record<string, unknown>;
  return (
    Array.isArray(messages) &&
    messages.length > 0 &&
    messages.every((message) => {
      const { role, content } = (message ?? {}) as Record<string, unknown>;
      return (
        typeof role === 'string' &&
        (content === null || typeof content === 'string' || Array.isArray(content))
      );
    }) &&
    (tools === undefined || tools === null || Array.isArray(tools))
  );
}
