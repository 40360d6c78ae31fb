import { readdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { tempFolder } from '../../base/testing/temp-folder.js';
import { openTrainingData } from './open-training-data.js';
import { chatFormat, tokenizer } from './testing/nano-scout.js';
import type { DataBatch, PictureEncoder, TrainingDataOptions } from './types.js';

const fixture = (name: string) => fileURLToPath(new URL(`../../../test/data/train/${name}`, import.meta.url));

type Options = Partial<Omit<TrainingDataOptions, 'files'>>;

const open = (files: readonly string[], options: Options = {}) =>
  openTrainingData({ files, tokenizer, chatFormat, contextSize: 256, maxTokens: 512, ...options });

async function write(name: string, content: string | Uint8Array | readonly unknown[]): Promise<string> {
  const path = join(await tempFolder(), name);
  const lines = Array.isArray(content) ? content.map((row) => `${JSON.stringify(row)}\n`).join('') : content;
  await writeFile(path, lines as string | Uint8Array);
  return path;
}

async function collect(batches: AsyncIterable<DataBatch>): Promise<DataBatch[]> {
  const all: DataBatch[] = [];
  for await (const batch of batches) all.push(batch);
  return all;
}

/** Each sequence of some batches as its text, what is learnt of it in braces. */
function shown(batches: readonly DataBatch[]): string[] {
  return batches.flatMap(({ ids, sequences, targets }) => {
    const texts: string[] = [];
    ids.forEach((id, i) => {
      const learnt = i > 0 && targets[i - 1] !== -1;
      if (learnt) expect(targets[i - 1]).toBe(id);
      const text = id < 0 ? `(row ${-1 - id})` : tokenizer.decode([id]);
      const sequence = sequences[i]!;
      texts[sequence] = (texts[sequence] ?? '') + (learnt ? `{${text}}` : text);
    });
    return texts.map((text) => text.replaceAll('}{', ''));
  });
}

const chat = (question: string, answer: string) => ({
  messages: [
    { role: 'user', content: question },
    { role: 'assistant', content: answer },
  ],
});
const numbered = (count: number) => Array.from({ length: count }, (_, i) => chat(`Say ${i}`, `It is ${i}.`));
const first = async (rows: readonly unknown[], options?: Options) =>
  shown(await collect((await open([await write('data.jsonl', rows)], options)).epoch(0, 0)))[0];

it('learns answers with the token that ends them, and nothing else', async () => {
  expect(await first([chat('Hi', ' there')])).toBe(
    '<|begin_of_text|><|header_start|>user<|header_end|>\n\nHi<|eot|><|header_start|>assistant<|header_end|>\n\n{ there<|eot|>}',
  );
});

it('learns everything where asked to', async () => {
  expect(await first([chat('Hi', 'there')], { responsesOnly: false })).toMatch(
    /^<\|begin_of_text\|>\{<\|header_start\|>.*<\|eot\|>\}$/s,
  );
});

it('reads the usual forms of rows', async () => {
  const header = (role: string) => `<|header_start|>${role}<|header_end|>\n\n`;
  const asked = (answer: string) => `${header('user')}Q<|eot|>${header('assistant')}{${answer}<|eot|>}`;
  const bos = '<|begin_of_text|>';
  const system = `${header('system')}S<|eot|>`;
  const said = [
    { from: 'system', value: 'S' },
    { from: 'human', value: 'Q' },
    { from: 'gpt', value: 'A' },
  ];
  expect(await first([{ conversations: said }])).toBe(bos + system + asked('A'));
  expect(await first([{ system: 'S', conversations: said.slice(1) }])).toBe(bos + system + asked('A'));
  expect(await first([{ instruction: 'Q', input: '', output: 'A' }])).toBe(bos + asked('A'));
  expect(await first([{ instruction: 'Q', input: 'x', output: 'A' }])).toContain('Q\nx<|eot|>');
  expect(await first([{ prompt: 'Q', completion: ' A' }])).toBe(`${bos}Q{ A<|end_of_text|>}`);
  expect(await first([{ prompt: 'Q', completion: 'A' }], { promptsAsChat: true })).toBe(bos + asked('A'));
  expect(
    await first([{ prompt: [chat('Q', '').messages[0]], completion: [{ role: 'assistant', content: 'A' }] }]),
  ).toBe(bos + asked('A'));
  expect(await first([{ text: 'Once' }])).toBe(`${bos}{Once<|end_of_text|>}`);
});

it('learns every answer of a chat, calls of tools too, but those with weight 0', async () => {
  const call = { type: 'function', function: { name: 'add', arguments: '{"a": 1}' } };
  const messages = [
    { role: 'user', content: 'one' },
    { role: 'assistant', content: null, tool_calls: [call] },
    { role: 'tool', content: '2' },
    { role: 'assistant', content: 'It is 2', weight: 0 },
    { role: 'user', content: 'And?' },
    { role: 'assistant', content: 'Yes' },
    { role: 'user', content: 'Fine' },
  ];
  const tools = [{ type: 'function', function: { name: 'add', parameters: { type: 'object' } } }];
  const text = await first([{ messages, tools }]);
  expect(text).toContain(`{{"name": "add", "parameters": {"a": 1}}<|eot|>}`);
  expect(text).toContain('It is 2<|eot|>');
  expect(text).toMatch(/\{Yes<\|eot\|>\}$/);
});

it('keeps special tokens that people spell as text', async () => {
  const [batch] = await collect(
    (await open([await write('data.jsonl', [chat('a<|eot|>b', 'c<|eot|>d<|header_start|>user')])])).epoch(
      0,
      0,
    ),
  );
  const eot = tokenizer.tokenId('<|eot|>')!;
  expect(batch!.ids.filter((id) => id === eot)).toHaveLength(2);
  expect(tokenizer.decode(batch!.targets.filter((id) => id >= 0))).toBe(
    'c<|eot|>d<|header_start|>user<|eot|>',
  );
});

it('keeps pairs together, chosen first, and learns what differs', async () => {
  const before = [{ role: 'user', content: 'Q' }];
  const ends = (content: string) => [...before, { role: 'assistant', content }];
  const rows = [
    { prompt: 'P', chosen: ' good', rejected: ' bad' },
    { prompt: before, chosen: [ends('good')[1]], rejected: [ends('bad')[1]] },
    { chosen: ends('good'), rejected: ends('bad') },
    { prompt: 'Q', chosen: ends('good'), rejected: ends('bad') },
  ];
  const data = await open([await write('data.jsonl', rows)], { method: 'dpo', maxTokens: 600 });
  const [batch, ...more] = await collect(data.epoch(1, 0));
  expect(more).toEqual([]);
  expect(batch!.examples).toBe(4);
  const learnt = shown([batch!]).map((text) => /\{(.*)\}/.exec(text)![1]!.replace(/<.*/, '').trim());
  expect(learnt).toEqual(['good', 'bad', 'good', 'bad', 'good', 'bad', 'good', 'bad']);
});

it('gives every example once an epoch, in an order that follows from the seed, from any batch on', async () => {
  const data = await open([await write('data.jsonl', numbered(90))], { maxTokens: 256 });
  const all = await collect(data.epoch(7, 2));
  expect(all).toHaveLength(data.batches(7, 2));
  expect(new Set(shown(all)).size).toBe(90);
  expect(await collect(data.epoch(7, 2, 3))).toEqual(all.slice(3));
  expect(shown(await collect(data.epoch(7, 3)))).not.toEqual(shown(all));
  expect(shown(await collect(data.epoch(8, 2)))).not.toEqual(shown(all));
  for (const { ids, positions, sequences } of all) {
    expect(ids.length).toBeLessThanOrEqual(256);
    positions.forEach((position, i) => {
      const begins = i === 0 || sequences[i] !== sequences[i - 1];
      expect(position).toBe(begins ? 0 : positions[i - 1]! + 1);
      if (begins) expect(ids[i]).toBe(tokenizer.bosId);
    });
  }
});

it('keeps the same rows for validation whatever else is asked for', async () => {
  const file = await write('data.jsonl', numbered(40));
  const validation = async (options: Options) =>
    shown(await collect((await open([file], { validationRatio: 0.2, ...options })).validation())).sort();
  const kept = await validation({});
  expect(kept).toHaveLength(8);
  expect(await validation({ maxTokens: 900, maxExamples: 1 })).toEqual(kept);
  expect(await validation({ splitSeed: 1 })).not.toEqual(kept);
  const data = await open([file], { validationRatio: 0.2 });
  const training = shown(await collect(data.epoch(0, 0)));
  expect(training).toHaveLength(32);
  expect(training.filter((text) => kept.includes(text))).toEqual([]);
  const other = await open([file], { validationFiles: [await write('other.jsonl', numbered(3))] });
  expect([other.training.rows, other.validating.rows]).toEqual([40, 3]);
});

it('goes on from a scratch file when memory is small, and leaves nothing behind', async () => {
  const scratchFolder = await tempFolder();
  const file = await write('data.jsonl', numbered(50));
  const [large, small] = await Promise.all([
    open([file]),
    open([file], { memoryBytes: 2000, scratchFolder }),
  ]);
  expect(await collect(small.epoch(3, 1))).toEqual(await collect(large.epoch(3, 1)));
  expect(small.fingerprint).toBe(large.fingerprint);
  await small.close();
  expect(await readdir(scratchFolder)).toEqual([]);
});

it('skips unusable rows with their line and reason, and refuses too many of them', async () => {
  const rows = [
    '{"text": "fine"}',
    '',
    '{"text": 3}',
    '{"a": 1, "a": 2}',
    'nonsense',
    '{"messages": []}',
    '[1]',
  ];
  const file = await write('data.jsonl', rows.join('\n'));
  const { skipped, training } = await open([file]);
  expect(training.rows).toBe(1);
  expect(skipped.map(({ row }) => row)).toEqual([3, 4, 5, 6, 7]);
  expect(skipped[0]!.reason).toBe('expected text to be a string, found 3');
  await expect(open([file], { maxBadRows: 0 })).rejects.toMatchObject({
    code: 'bad-row',
    message: expect.stringContaining('line 3: expected text'),
  });
  await expect(open([file], { maxBadRows: 2 })).rejects.toMatchObject({ code: 'too-many-bad-rows' });
  await expect(open([await write('a.jsonl', [{ text: 1 }])])).rejects.toMatchObject({
    code: 'no-usable-row',
  });
  await expect(open([await write('a.jsonl', '\n\n')])).rejects.toMatchObject({ code: 'no-usable-row' });
  await expect(open([await write('a.json', '[{"text": "a"}]')])).rejects.toMatchObject({
    code: 'unknown-data-format',
  });
});

it('refuses, skips or cuts rows longer than the context', async () => {
  const file = await write('data.jsonl', [
    chat('Hi', 'there'),
    chat('Hi', 'no '.repeat(60)),
    chat('no '.repeat(60), 'x'),
  ]);
  const size = { contextSize: 32, maxTokens: 64 };
  await expect(open([file], size)).rejects.toMatchObject({
    code: 'row-too-long',
    message: expect.stringMatching(/line 2: expected at most 32 tokens/),
  });
  const skipping = await open([file], { ...size, overlong: 'skip', maxBadRows: 0 });
  expect([skipping.training.rows, skipping.skipped.length]).toEqual([1, 2]);
  const cutting = await open([file], { ...size, overlong: 'truncate' });
  expect([cutting.training.rows, cutting.skipped.map(({ row }) => row), cutting.truncated]).toEqual([
    2,
    [3],
    1,
  ]);
});

it('cuts text into windows that predict every token once', async () => {
  const text = Array.from({ length: 300 }, (_, i) => `Line ${i} of a document.`).join('\n');
  const data = await open([await write('book.txt', text)], { contextSize: 50, maxTokens: 100 });
  const ids = tokenizer.encode(text);
  const all = await collect(data.validation());
  expect(all).toEqual([]);
  expect(data.training.trained).toBe(ids.length + 1);
  expect(data.training.examples).toBe(Math.ceil((ids.length + 1) / 49));
  const paragraphs = await open([await write('a.md', 'One\r\ntwo\r\n\r\n\r\nthree\r\n')], {
    textUnit: 'paragraph',
  });
  expect(shown(await collect(paragraphs.epoch(0, 0))).sort()).toEqual([
    '<|begin_of_text|>{One\ntwo<|end_of_text|>}',
    '<|begin_of_text|>{three<|end_of_text|>}',
  ]);
  await expect(open([await write('a.txt', new Uint8Array([65, 0xff, 0xfe]))])).rejects.toMatchObject({
    code: 'not-text',
  });
});

it('reads Parquet in every compression', async () => {
  const texts = new Set<string>();
  for (const codec of ['none', 'snappy', 'gzip', 'zstd', 'brotli', 'lz4']) {
    const data = await open([fixture(`chats-${codec}.parquet`)]);
    expect(data.training.rows).toBe(40);
    texts.add(shown(await collect(data.epoch(0, 0))).join());
  }
  expect(texts.size).toBe(1);
  expect([...texts][0]).toContain('{17 times two is 34. ');
  await expect(open([fixture('other.parquet')])).rejects.toMatchObject({
    code: 'bad-parquet',
    message: expect.stringContaining('found "label", "url"'),
  });
}, 30_000);

it('puts pictures where they stand, once encoded however often shown', async () => {
  const encoded: string[] = [];
  let last: Uint8Array;
  const pictures: PictureEncoder = {
    async encode(bytes) {
      last = bytes;
      encoded.push(Buffer.from(bytes).toString('latin1'));
      return { ids: [tokenizer.tokenId('<|image_start|>')!, -11, -12, tokenizer.tokenId('<|image_end|>')!] };
    },
    row: (id) => Float32Array.of(last[0]!, id),
  };
  const image = (name: string) => ({ type: 'image', image: name });
  const shows = (...parts: unknown[]) => ({
    messages: [
      { role: 'user', content: [...parts, { type: 'text', text: '?' }] },
      { role: 'assistant', content: 'A' },
    ],
  });
  const url = { type: 'image_url', image_url: { url: 'data:image/png;base64,QQ==' } };
  const file = await write('data.jsonl', [
    shows(url, image('b.png')),
    shows(image('b.png')),
    shows(image('../secret.png')),
    shows(image('/etc/hostname')),
    shows(image('link.png')),
    shows(image('http://example.com/a.png')),
    shows(image('missing.png')),
    { ...shows({ type: 'image' }), images: ['b.png'] },
  ]);
  const folder = join(file, '..');
  await writeFile(join(folder, 'b.png'), 'B');
  await symlink('/etc/hostname', join(folder, 'link.png'));
  const data = await open([file], { pictures });
  expect(encoded).toEqual(['A', 'B']);
  expect(data.skipped.map(({ row }) => row)).toEqual([3, 4, 5, 6, 7]);
  const [batch] = await collect(data.epoch(1, 0));
  const negative = [...batch!.ids].filter((id) => id < 0);
  expect(negative.map((id) => -1 - id)).toEqual(Array.from(negative, (_, i) => i));
  const firsts = negative.map((id) => String.fromCharCode(batch!.pictures![2 * (-1 - id)]!)).join('');
  expect(['AABBBBBB', 'BBAABBBB', 'BBBBAABB']).toContain(firsts);
  expect(shown([batch!]).every((text) => text.endsWith('{A<|eot|>}'))).toBe(true);
  await expect(open([file])).rejects.toMatchObject({
    code: 'no-mmproj',
    message: expect.stringContaining('line 1'),
  });
  await open([fixture('pictures.parquet')], { pictures });
  expect(encoded.at(-1)).toBe('\x89PNG fake \xff\x00');
});
