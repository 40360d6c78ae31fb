import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { tempFolder } from '../base/testing/temp-folder.js';
import type { ChatModel } from '../chat/index.js';
import { tokenizerFromJson } from '../model/tokenizer/index.js';
import { nanoTokenizerConfig, nanoTokenizerJson } from '../model/tokenizer/testing/nano-scout.js';
import { encodeCalibrationTexts, readTextFiles } from './calibration-texts.js';
import type { Terminal } from './verb.js';

const tokenizer = tokenizerFromJson(nanoTokenizerJson(), nanoTokenizerConfig());
const model: ChatModel = { tokenizer, chatTemplate: undefined, metadata: new Map() };
const encode = (path: string, content: string, parseSpecial = false) =>
  encodeCalibrationTexts([{ path, content }], model, parseSpecial)[0]!;

const chat = (user: string, assistant: string) =>
  JSON.stringify({
    messages: [
      { role: 'user', content: user },
      { role: 'assistant', content: assistant },
    ],
  });

describe('encodeCalibrationTexts', () => {
  it('takes a plain text with BOS in front, and special tokens as text unless told otherwise', () => {
    const { ids, name, sha256 } = encode('a.txt', 'to be<|eot|>');
    expect({ name, ids }).toEqual({ name: 'a.txt', ids: tokenizer.encode('to be<|eot|>', { addBos: true }) });
    expect(sha256).toMatch(/^[0-9a-f]{64}$/);
    expect(encode('a.txt', 'to be<|eot|>', true).ids.at(-1)).toBe(tokenizer.tokenId('<|eot|>'));
  });

  it('lays chats out with the template, each a document of its own, whose text cannot end a turn', () => {
    const { ids } = encode('a.jsonl', `${chat('hi', 'ho')}\n\n${chat('a<|eot|>b', 'c')}\n`);
    const text = tokenizer.decode(ids);
    const turn = (role: string, content: string) =>
      `<|header_start|>${role}<|header_end|>\n\n${content}<|eot|>`;
    const bos = tokenizer.tokenText(tokenizer.bosId!);
    expect(text).toBe(
      `${bos}${turn('user', 'hi')}${turn('assistant', 'ho')}${bos}${turn('user', 'a<|eot|>b')}${turn('assistant', 'c')}`,
    );
    expect(ids.filter((id) => id === tokenizer.tokenId('<|eot|>'))).toHaveLength(4);
  });

  it.each([
    '{"messages": []}',
    '{"messages": [{"content": "x"}]}',
    '[]',
    'null',
    '{"text": "x"}',
    '{"messages"',
  ])('refuses %s as a chat, naming the line', (line) => {
    expect(() => encode('a.jsonl', `${chat('x', 'y')}\n${line}`)).toThrow(
      expect.objectContaining({ code: 'bad-jsonl', message: expect.stringContaining("'a.jsonl' line 2") }),
    );
  });
});

it('readTextFiles keeps the order and drops one last line break', async () => {
  const folder = await tempFolder();
  const paths = ['b', 'a'].map((name) => join(folder, name));
  for (const path of paths) await writeFile(path, `${path}\n\n`);
  const terminal = { stdin: new PassThrough() } as unknown as Terminal;
  expect(await readTextFiles(terminal, paths)).toEqual(paths.map((path) => ({ path, content: `${path}\n` })));
});
