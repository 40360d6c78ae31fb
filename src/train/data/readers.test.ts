import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { CriaError } from '../../base/errors.js';
import { tempFolder } from '../../base/testing/temp-folder.js';
import { decodeExample, encodeExample } from './example.js';
import { fileLines } from './file-lines.js';
import type { FileRow } from './file-row.js';
import { jsonlRows } from './jsonl-rows.js';
import { parquetRows } from './parquet-rows.js';
import { readRow } from './read-row.js';
import { RowFault } from './row-fault.js';
import { textRows } from './text-rows.js';

async function file(content: string | Uint8Array, name = 'file'): Promise<string> {
  const path = join(await tempFolder(), name);
  await writeFile(path, content);
  return path;
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

const reasonOf = ({ content }: FileRow) => (content.kind === 'fault' ? content.fault.message : content.kind);

it('reads lines of any length, and keeps nothing of those over the limit', async () => {
  const texts = ['', 'a', 'b'.repeat(3_000_000), '', 'c'.repeat(10), 'last'];
  const lines = await collect(fileLines(await file(texts.join('\n')), 100));
  expect(lines.map(({ line, length }) => [line, length])).toEqual(
    texts.map((text, i) => [i + 1, text.length]),
  );
  expect(lines.map(({ bytes }) => bytes?.toString())).toEqual(
    texts.map((text) => (text.length > 100 ? undefined : text)),
  );
  expect(lines.at(-1)!.offset).toBe(texts.join('\n').length);
});

it('says what is wrong with each line of JSON', async () => {
  const lines = [
    Buffer.from('\ufeff{"a": 1}\r\n'),
    Buffer.from([0x22, 0xff, 0x22, 0x0a]),
    Buffer.from(`${'['.repeat(100_000)}\n`),
    Buffer.from('{"a": 1, "\\u0061": 2}\n'),
    Buffer.from('{"a": \u001b[31m\n'),
    Buffer.from('{\n'),
    Buffer.from('null'),
  ];
  const rows = await collect(jsonlRows(await file(Buffer.concat(lines))));
  expect(rows.map(reasonOf)).toMatchInlineSnapshot(`
    [
      "value",
      "expected UTF-8, found other bytes",
      "expected at most 64 levels of nesting",
      "the key "a" appears twice in one object",
      "expected JSON, found "{\\"a\\": \\u001b[31m"",
      "expected JSON, found "{" (one JSON object a line: a file of one large array is none)",
      "value",
    ]
  `);
});

it('cuts long documents at ends of lines and loses none of them', async () => {
  const lines = Array.from({ length: 9000 }, (_, i) =>
    i % 7 === 0 ? '' : `line ${i} ${'x'.repeat(i % 40)}`,
  );
  const rows = await collect(textRows(await file(lines.join('\n')), 'file'));
  expect(rows.length).toBeGreaterThan(2);
  const pieces = rows.map(({ content }) => (content.kind === 'text' ? content : undefined)!);
  expect(pieces.map(({ ends }) => ends)).toEqual([...Array(rows.length - 1).fill(false), true]);
  const squeezed = (text: string) => text.replace(/\n+/g, '\n').trim();
  expect(squeezed(pieces.map(({ text }) => text).join(''))).toBe(squeezed(lines.join('\n')));
  for (const [i, { row }] of rows.entries()) expect(pieces[i]!.text.startsWith(lines[row - 1]!)).toBe(true);
});

it('understands a row or says why not, whatever it holds', () => {
  const name = fc.constantFrom(
    'messages',
    'conversations',
    'prompt',
    'completion',
    'chosen',
    'rejected',
    'instruction',
    'input',
    'output',
    'text',
    'system',
    'tools',
    'images',
    'role',
    'content',
    'from',
    'value',
    'type',
    'image',
    'tool_calls',
    'function',
    'name',
    'arguments',
  );
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom(
        'user',
        'assistant',
        'tool',
        'text',
        'image',
        'human',
        'gpt',
        'function_call',
        '[]',
        '{}',
        '',
        '<image>',
      ),
      fc.jsonValue({ maxDepth: 1 }),
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(name, tie('value'), { maxKeys: 6 }),
    ),
  }));
  fc.assert(
    fc.property(
      value,
      fc.constantFrom('sft' as const, 'dpo' as const),
      fc.boolean(),
      (row, method, promptsAsChat) => {
        try {
          readRow(row, { method, promptsAsChat });
        } catch (error) {
          expect(error).toBeInstanceOf(RowFault);
          expect((error as Error).message).not.toMatch(/\p{Cc}/u);
        }
      },
    ),
    { numRuns: 2000 },
  );
});

it('keeps examples as bytes and back', () => {
  const sequence = fc
    .array(fc.tuple(fc.integer({ min: -5, max: 200_000 }), fc.boolean()), { maxLength: 20 })
    .map((tokens) => ({
      ids: Int32Array.from(tokens, ([id]) => id),
      learnt: Uint8Array.from(tokens, ([, learnt]) => Number(learnt)),
    }));
  fc.assert(
    fc.property(
      fc.array(sequence, { maxLength: 3 }),
      fc.array(fc.nat(1e6), { maxLength: 3 }),
      fc.nat(7),
      (sequences, pictures, shift) => {
        const example = { sequences, pictures };
        const bytes = encodeExample(example);
        const elsewhere = new Uint8Array(bytes.length + shift);
        elsewhere.set(bytes, shift);
        expect(decodeExample(elsewhere.subarray(shift))).toEqual(example);
      },
    ),
  );
});

const parquet = fileURLToPath(new URL('../../../test/data/train/chats-snappy.parquet', import.meta.url));

it('refuses damaged Parquet files with one error', async () => {
  const good = await readFile(parquet);
  const seen = new Set<string>();
  const damaged = [
    good.subarray(0, 100),
    good.subarray(100),
    Buffer.from('PAR1'),
    Buffer.concat([good.subarray(0, -8), Buffer.from([0xff, 0xff, 0xff, 0xff]), Buffer.from('PAR1')]),
    Buffer.concat([good.subarray(0, -8), Buffer.from([0xff, 0xff, 0, 0]), Buffer.from('PAR1')]),
  ];
  for (const bytes of damaged) {
    const error = await collect(parquetRows(await file(bytes, 'a.parquet'))).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(CriaError);
    expect(error.code).toBe('bad-parquet');
    seen.add(error.message.replace(/^.*cannot be read: /, ''));
  }
  expect([...seen]).toMatchInlineSnapshot(`
    [
      "expected PAR1 at its end, found something else",
      "its parts contradict each other (Invalid typed array length: 247)",
      "expected a Parquet file, found 4 bytes",
      "expected its metadata to fit 3.94 kB, found 4.29 GB of them",
      "expected its metadata to fit 3.94 kB, found 65.5 kB of them",
    ]
  `);
}, 30_000);

it('survives any changed byte of a Parquet file', async () => {
  const good = await readFile(parquet);
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
      async (changes) => {
        const bytes = Buffer.from(good);
        for (const [at, value] of changes) bytes[at] = value;
        try {
          await collect(parquetRows(await file(bytes, 'a.parquet')));
        } catch (error) {
          expect(error).toMatchObject({ code: 'bad-parquet' });
        }
      },
    ),
    { numRuns: 5, seed: 3 },
  );
}, 60_000);
