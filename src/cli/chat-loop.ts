import type { Writable } from 'node:stream';
import { CriaError } from '../base/errors.js';
import { didYouMean } from '../base/suggest.js';
import type { Conversation, PromptImage } from '../chat/index.js';
import type { LineSource } from './line-reader.js';

/** Answers the conversation's last message: streams the answer out and returns its text. */
export type Answer = (conversation: Conversation, signal: AbortSignal) => Promise<string>;

export interface ChatLoopOptions {
  readonly conversation: Conversation;
  readonly answer: Answer;
  readonly lines: LineSource;
  /** Everything that is not the model's own text. */
  readonly notes: Writable;
  /** A question asked before the first prompt. */
  readonly firstMessage?: string;
  /** Pictures that go with the next message. */
  readonly images?: readonly PromptImage[];
  /** Reads a picture that a person named. */
  readonly loadImage: (path: string, signal: AbortSignal) => Promise<PromptImage>;
}

const COMMANDS: Readonly<Record<string, string>> = {
  '/help': 'show this list',
  '/clear': 'start over; the system prompt stays',
  '/image': 'FILE sends a picture along with the next message',
  '/system': 'TEXT sets the system prompt and starts over; without TEXT shows it',
  '/regenerate': 'answer the last message again',
  '/exit': 'leave',
};

const HELP = [
  ...Object.entries(COMMANDS).map(([name, help]) => `  ${name.padEnd(12)} ${help}`),
  '  A line that ends in \\ goes on in the next; """ begins and ends a text of several lines.',
  '  Ctrl-C stops an answer; at an empty prompt twice, or Ctrl-D, leaves.',
  '',
].join('\n');

/** Chats until the person leaves. Mistakes and answers that fail are reported, and the chat goes on. */
export async function chatLoop(options: ChatLoopOptions): Promise<void> {
  const { conversation, lines, notes } = options;
  let images = options.images ?? [];
  const send = async (text: string) => {
    conversation.addUser(text, images);
    images = [];
    await answerLast(options);
  };
  if (options.firstMessage !== undefined) await send(options.firstMessage);
  let interrupts = 0;
  for (;;) {
    const message = await readMessage(lines);
    if (message.kind === 'end') {
      notes.write('\n');
      return;
    }
    if (message.kind === 'interrupt') {
      interrupts = message.typed === '' ? interrupts + 1 : 0;
      if (interrupts === 2) return;
      notes.write(interrupts === 1 ? '\n(Ctrl-C again, or Ctrl-D, leaves)\n' : '\n');
      continue;
    }
    interrupts = 0;
    const text = message.text.trim();
    if (text === '') continue;
    if (!/^\/[a-z]+(\s|$)/.test(text)) {
      await send(message.text);
      continue;
    }
    const [command = '', ...rest] = text.split(/\s+/);
    const argument = text.slice(command.length).trim();
    switch (command) {
      case '/help':
        notes.write(HELP);
        break;
      case '/clear':
        conversation.clear();
        images = [];
        notes.write('(cleared)\n');
        break;
      case '/image':
        images = [...images, ...(await readImage(options, argument))];
        break;
      case '/system':
        if (rest.length === 0) {
          notes.write(`${conversation.system ?? '(no system prompt)'}\n`);
        } else {
          conversation.system = argument;
          conversation.clear();
          notes.write('(system prompt set)\n');
        }
        break;
      case '/regenerate':
        if (conversation.dropAnswer()) await answerLast(options);
        else notes.write('(nothing to answer yet)\n');
        break;
      case '/exit':
      case '/quit':
      case '/bye':
        return;
      default:
        notes.write(
          `unknown command '${command}'${didYouMean(command, Object.keys(COMMANDS))} (/help lists them)\n`,
        );
    }
  }
}

/** The picture at `path`, or none and a note of the reason. */
async function readImage(options: ChatLoopOptions, path: string): Promise<PromptImage[]> {
  const { lines, notes } = options;
  if (path === '') {
    notes.write("expected '/image FILE'\n");
    return [];
  }
  const stop = new AbortController();
  lines.onInterrupt(() => stop.abort());
  try {
    return [await options.loadImage(path, stop.signal)];
  } catch (error) {
    if (!(error instanceof CriaError) || error.kind === 'internal') throw error;
    notes.write(error.kind === 'cancelled' ? '(stopped)\n' : `cria: ${error.message}\n`);
    return [];
  } finally {
    lines.onInterrupt(undefined);
  }
}

async function answerLast({ conversation, answer, lines, notes }: ChatLoopOptions): Promise<void> {
  const stop = new AbortController();
  lines.onInterrupt(() => stop.abort());
  try {
    conversation.addAssistant(await answer(conversation, stop.signal));
  } catch (error) {
    if (!(error instanceof CriaError) || error.kind === 'internal') throw error;
    // A message that cannot be answered must not stand in the way of the next.
    conversation.dropTurn();
    notes.write(error.kind === 'cancelled' ? '(stopped)\n' : `cria: ${error.message}\n`);
  } finally {
    lines.onInterrupt(undefined);
  }
}

type Message = { kind: 'text'; text: string } | { kind: 'interrupt'; typed: string } | { kind: 'end' };

/** One message, which may take several lines. */
async function readMessage(lines: LineSource): Promise<Message> {
  const collected: string[] = [];
  let quoted = false;
  for (;;) {
    const event = await lines.next(collected.length === 0 && !quoted ? '> ' : '. ');
    if (event.kind === 'end') {
      const text = collected.join('\n');
      return text.trim() === '' ? event : { kind: 'text', text };
    }
    if (event.kind === 'interrupt') return { ...event, typed: collected.join('\n') + event.typed };
    let line = event.text;
    if (!quoted && collected.length === 0 && line.startsWith('"""')) {
      quoted = true;
      line = line.slice(3);
      if (line === '') continue;
    }
    if (quoted) {
      const closes = line.trimEnd().endsWith('"""');
      collected.push(closes ? line.trimEnd().slice(0, -3) : line);
      if (closes) return { kind: 'text', text: collected.join('\n').replace(/\n$/, '') };
    } else if (line.endsWith('\\')) {
      collected.push(line.slice(0, -1));
    } else {
      collected.push(line);
      return { kind: 'text', text: collected.join('\n') };
    }
  }
}
