import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { CriaError } from '../base/errors.js';
import { Conversation } from '../chat/index.js';
import { type Answer, chatLoop } from './chat-loop.js';
import { processEscapes } from './escapes.js';
import type { LineEvent, LineSource } from './line-reader.js';

/** Plays events back; after the last the pipe ends. */
class ScriptedLines implements LineSource {
  interrupt: (() => void) | undefined;
  readonly prompts: string[] = [];
  readonly #events: LineEvent[];

  constructor(events: readonly (string | LineEvent)[]) {
    this.#events = events.map((event) => (typeof event === 'string' ? { kind: 'line', text: event } : event));
  }

  async next(prompt: string): Promise<LineEvent> {
    this.prompts.push(prompt);
    return this.#events.shift() ?? { kind: 'end' };
  }

  onInterrupt(handler: (() => void) | undefined): void {
    this.interrupt = handler;
  }
}

const INTERRUPT: LineEvent = { kind: 'interrupt', typed: '' };

async function loadImage(path: string) {
  if (path === 'none.png') throw new CriaError('not-found', 'no-such-file', 'no none.png');
  return { ids: [path.length] };
}

async function play(
  events: readonly (string | LineEvent)[],
  answer: Answer = async ({ chat }) => `re: ${chat.messages.at(-1)!.content}`,
  firstMessage?: string,
) {
  const conversation = new Conversation('be kind');
  const notes = new PassThrough();
  const lines = new ScriptedLines(events);
  await chatLoop({ conversation, answer, lines, notes, firstMessage, loadImage });
  const turns = conversation.chat.messages.map(({ role, content }) => `${role}: ${content}`);
  return { turns, notes: String(notes.read() ?? ''), lines };
}

describe('chatLoop', () => {
  it('keeps the history', async () => {
    const { turns } = await play(['one', '', 'two'], undefined, 'zero');
    expect(turns).toEqual([
      'system: be kind',
      'user: zero',
      'assistant: re: zero',
      'user: one',
      'assistant: re: one',
      'user: two',
      'assistant: re: two',
    ]);
  });

  it('reads messages of several lines', async () => {
    const { turns, lines } = await play(['a\\', 'b', '"""', 'c', '', 'd"""', '"""e', 'f', '"""']);
    expect(turns.filter((turn) => turn.startsWith('user'))).toEqual([
      'user: a\nb',
      'user: c\n\nd',
      'user: e\nf',
    ]);
    expect(lines.prompts.slice(0, 3)).toEqual(['> ', '. ', '> ']);
  });

  it('obeys commands', async () => {
    const { turns, notes } = await play([
      'one',
      '/clear',
      '/system be brief',
      '/system',
      '/help',
      '/hlep',
      'x',
      '/exit',
      'y',
    ]);
    expect(turns).toEqual(['system: be brief', 'user: x', 'assistant: re: x']);
    expect(notes).toContain('(cleared)\n(system prompt set)\nbe brief\n');
    expect(notes).toContain("unknown command '/hlep'; did you mean '/help'?");
  });

  it('takes a path for a message, not a command', async () => {
    expect((await play(['/usr/bin is a folder'])).turns).toContain('user: /usr/bin is a folder');
  });

  it('sends pictures along with the next message', async () => {
    const contents: unknown[] = [];
    const { notes } = await play(
      ['/image a.png', '/image none.png', '/image', '/image my dog.png', 'what?', 'and?'],
      async ({ chat }) => {
        contents.push(chat.messages.at(-1)!.content);
        return 'ok';
      },
    );
    const [first, second] = [{ ids: [5] }, { ids: [10] }].map((image) => ({ type: 'image', image }));
    expect(contents).toEqual([[first, second, { type: 'text', text: 'what?' }], 'and?']);
    expect(notes).toContain("cria: no none.png\nexpected '/image FILE'\n");
  });

  it('answers again', async () => {
    let count = 0;
    const { turns, notes } = await play(
      ['/regenerate', 'one', '/regenerate'],
      async () => `answer ${++count}`,
    );
    expect(turns).toEqual(['system: be kind', 'user: one', 'assistant: answer 2']);
    expect(notes).toContain('nothing to answer yet');
  });

  it('leaves at the second Ctrl-C in a row only', async () => {
    const { turns, notes } = await play([
      INTERRUPT,
      'one',
      INTERRUPT,
      { kind: 'interrupt', typed: 'x' },
      INTERRUPT,
      INTERRUPT,
      'two',
    ]);
    expect(turns).toHaveLength(3);
    expect(notes).toContain('Ctrl-C again');
  });

  it('stops an answer at Ctrl-C and goes on', async () => {
    const lines = new ScriptedLines(['one', 'two']);
    const conversation = new Conversation();
    const aborted: boolean[] = [];
    await chatLoop({
      conversation,
      lines,
      notes: new PassThrough(),
      loadImage,
      answer: async (_, signal) => {
        if (aborted.length === 0) lines.interrupt!();
        aborted.push(signal.aborted);
        return 'part';
      },
    });
    expect(aborted).toEqual([true, false]);
    expect(conversation.chat.messages).toHaveLength(4);
  });

  it('reports an answer that fails and forgets its question', async () => {
    const { turns, notes } = await play(['long', 'short'], async ({ chat }) => {
      if (chat.messages.at(-1)!.content === 'long') throw new CriaError('usage', 'context-full', 'too long');
      return 'ok';
    });
    expect(turns).toEqual(['system: be kind', 'user: short', 'assistant: ok']);
    expect(notes).toContain('cria: too long\n');
    await expect(play(['x'], () => Promise.reject(new Error('defect')))).rejects.toThrow('defect');
  });
});

describe('processEscapes', () => {
  it('reads the escapes of llama.cpp and leaves others', () => {
    expect(processEscapes(String.raw`a\nb\tc\\n\x41\q\"\'`)).toBe('a\nb\tc\\nA\\q"\'');
  });
});
