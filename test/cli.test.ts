import { spawn } from 'node:child_process';
import { copyFile, cp, mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { goldenPath, NANO_SCOUT } from './golden.js';

const CRIA = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));

interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

interface Running {
  readonly outcome: Promise<Outcome>;
  readonly child: ReturnType<typeof spawn>;
}

/** Starts `cria` as a shell does, with pipes for all three streams. */
function start(args: readonly string[], input = ''): Running {
  const child = spawn(process.execPath, [CRIA, ...args], { env: { ...process.env, CRIA_DEBUG: '' } });
  const texts = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      texts[name] += text;
    });
  }
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const outcome = new Promise<Outcome>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, ...texts }));
  });
  return { outcome, child };
}

const cria = (args: readonly string[], input?: string) => start(args, input).outcome;

let folder: string;
let model: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cria-cli-'));
  model = join(folder, 'nano.gguf');
  expect(await cria(['convert', NANO_SCOUT, '-o', model])).toMatchObject({ code: 0, stdout: `${model}\n` });
});

afterAll(() => rm(folder, { recursive: true, force: true }));

describe('cria', () => {
  it('shows its verbs and version', async () => {
    const { version } = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8'));
    expect(await cria(['--version'])).toEqual({ code: 0, stdout: `cria ${version}\n`, stderr: '' });
    expect((await cria(['--help'])).stdout).toMatch(/ run .* convert .* inspect /s);
    expect((await cria(['help', 'split'])).stdout).toMatch(/^Cut a GGUF file into parts\n/);
  });
});

describe('cria run', () => {
  const greedy = ['run', '-t', '2', '--temp', '0', '-n', '12'];

  it('continues text with -no-cnv, BOS once', async () => {
    const once = await cria([...greedy, model, '-no-cnv', '-p', 'Once upon a time', '--no-display-prompt']);
    const twice = await cria([
      ...greedy,
      '-m',
      model,
      '-no-cnv',
      '-p',
      '<|begin_of_text|>Once upon a time',
      '--no-display-prompt',
    ]);
    expect(once.code).toBe(0);
    expect(once.stdout.length).toBeGreaterThan(10);
    expect(twice.stdout).toBe(once.stdout);
    const promptTokens = ({ stderr }: Outcome) => /prompt \d+ tokens/.exec(stderr)?.[0];
    expect(promptTokens(twice)).toBe(promptTokens(once));
    expect(once.stderr).toMatch(
      /loaded in .* prompt \d+ tokens, .* generated 12 tokens, .* seed \d+ .* -n reached/,
    );
  });

  it('answers one message, from -p or a pipe, and warns of GPU options once', async () => {
    const flag = await cria([...greedy, model, '-p', 'Hello', '-ngl', '99', '-ot', 'exps=CPU', '--jinja']);
    const pipe = await cria([...greedy, NANO_SCOUT], 'Hello\n');
    expect(flag.code).toBe(0);
    expect(pipe.stdout).toBe(flag.stdout);
    expect(flag.stderr).toContain('cria: -ngl, -ot without effect');
  });

  it('writes the same text for the same seed', async () => {
    const args = ['run', model, '-t', '2', '-n', '12', '-p', 'Hello', '--seed', '7'];
    const [first, second] = [await cria(args), await cria(args)];
    expect(second.stdout).toBe(first.stdout);
    expect(first.stderr).toContain('seed 7');
  });

  it('keeps a computed prompt in a file, and says what a context takes', async () => {
    const session = join(folder, 'prompt.session');
    const args = [...greedy, model, '-no-cnv', '--no-display-prompt', '--prompt-cache', session];
    const first = await cria([...args, '-p', 'Once upon a time there was', '-ctk', 'q8_0', '-c', '20000']);
    expect(first.stderr).toContain('memory: weights');
    expect(first.stderr).toContain('cache of 20000 tokens');
    const saved = await readFile(session);
    const second = await cria([
      ...args,
      '--prompt-cache-ro',
      '-ctk',
      'q8_0',
      '-p',
      'Once upon a time there was a goat',
    ]);
    expect(second.stderr).toMatch(/prompt \d+ tokens \([1-9]\d* cached\)/);
    expect(await readFile(session)).toEqual(saved);
    const other = await cria([...args, '-p', 'Once']);
    expect(other).toMatchObject({ code: 4, stderr: expect.stringContaining('cannot be used here') });
  });

  it('chats over a pipe with -cnv', async () => {
    const { code, stderr, stdout } = await cria(
      [...greedy, model, '-cnv'],
      'Hello\n/clear\nHello\n/exit\nnever\n',
    );
    expect(code).toBe(0);
    expect(stderr).toContain('(cleared)');
    expect(stderr.match(/generated \d+ tokens/g)).toHaveLength(2);
    const half = stdout.length / 2;
    expect(stdout.slice(half)).toBe(stdout.slice(0, half));
  });

  it('takes pictures, in options and in a chat, with the tower of a folder or a file', async () => {
    const mmproj = join(folder, 'mmproj.gguf');
    expect(
      (await cria(['convert', NANO_SCOUT, '-o', join(folder, 'again.gguf'), '--mmproj', mmproj])).code,
    ).toBe(0);
    const [square, wide] = [goldenPath('image-square.png'), goldenPath('image-wide.png')];
    const own = await cria([...greedy, NANO_SCOUT, '--image', `${square},${wide}`, '-p', 'What?']);
    const file = await cria([
      ...greedy,
      model,
      '-mm',
      mmproj,
      '--image',
      square,
      '--image',
      wide,
      '-p',
      'What?',
    ]);
    expect(own.stderr).toMatch(
      /square.png': one tile, 19 tokens,.*wide.png': 3 × 2 tiles and the whole, 121 tokens/s,
    );
    expect(own.code).toBe(0);
    expect(file.stdout).toBe(own.stdout);
    const said = `/image ${square}\n/image ${wide}\nWhat?\nWhat else?\n`;
    const chat = await cria([...greedy, model, '-mm', mmproj, '-cnv'], said);
    expect(chat.stdout.startsWith(own.stdout)).toBe(true);
    // The second question finds the pictures in the cache.
    expect(Number(/\((\d+) cached\)/.exec(chat.stderr)?.[1])).toBeGreaterThan(140);
    const few = await cria([
      ...greedy,
      NANO_SCOUT,
      '--image',
      wide,
      '--image-max-tokens',
      '99',
      '-p',
      'What?',
    ]);
    expect(few.stderr).toContain('3 × 1 tiles and the whole, 70 tokens');
    const raw = ['-no-cnv', '--no-display-prompt'];
    const marked = await cria([...greedy, NANO_SCOUT, ...raw, '--image', square, '-p', '<|image|>A']);
    const unmarked = await cria([...greedy, NANO_SCOUT, ...raw, '--image', square, '-p', 'A']);
    expect(unmarked.stdout).toBe(marked.stdout);
    const blind = await cria([...greedy, model, '--image', square, '-p', 'What?']);
    expect(blind).toMatchObject({ code: 2, stdout: '' });
    expect(blind.stderr).toMatch(/^cria: pictures need .*--mmproj.*\n$/);
  });

  it('stops at Ctrl-C with its own exit code', async () => {
    const { child, outcome } = start(['run', model, '-t', '2', '-p', 'Hello', '--ignore-eos']);
    child.stdout!.once('data', () => child.kill('SIGINT'));
    const { code, stderr } = await outcome;
    expect(code).toBe(130);
    expect(stderr).toMatch(/generated \d+ tokens.*stopped\ncria: stopped\n$/);
  });

  it('is quiet when its reader leaves', async () => {
    const { child, outcome } = start(['run', model, '-t', '2', '-p', 'Hello', '--ignore-eos']);
    child.stdout!.once('data', () => child.stdout!.destroy());
    expect(await outcome).toMatchObject({ code: 0, stderr: '' });
  });
});

describe('cria split, merge and convert', () => {
  it('take a model apart and put it together again', async () => {
    const parts = (await cria(['split', model, join(folder, 'part'), '--split-max-size', '9M'])).stdout
      .trim()
      .split('\n');
    expect(parts.length).toBeGreaterThan(2);
    const merged = join(folder, 'merged.gguf');
    expect(await cria(['merge', parts[0]!, merged])).toMatchObject({ code: 0, stdout: `${merged}\n` });
    expect((await readFile(merged)).equals(await readFile(model))).toBe(true);

    const exported = join(folder, 'checkpoint');
    expect((await cria(['convert', merged, '-o', exported])).code).toBe(0);
    const again = join(folder, 'again.gguf');
    expect((await cria(['convert', exported, '-o', again])).code).toBe(0);
    const tensors = async (path: string) =>
      JSON.parse((await cria(['inspect', path, '--json'])).stdout).tensors.length;
    expect(await tensors(again)).toBe(await tensors(model));

    const missing = await cria(['merge', parts[1]!, join(folder, 'x.gguf')]);
    expect(missing.code).toBeGreaterThan(1);
    expectOneLine(missing);
  });
});

describe('adapters', () => {
  it('are converted, run, and merged into a model that writes the same', async () => {
    const [adapter, merged] = [join(folder, 'adapter.gguf'), join(folder, 'merged.gguf')];
    const converted = await cria(['convert', goldenPath('lora'), '--base', model, '-o', adapter]);
    expect(converted).toEqual({ code: 0, stdout: `${adapter}\n`, stderr: '' });
    const scaled = ['--lora-scaled', adapter, '0.75'];
    const mergedOutcome = await cria(['merge-lora', model, ...scaled, '--type', 'f32', '-o', merged]);
    expect(mergedOutcome).toMatchObject({ code: 0, stdout: `${merged}\n` });
    const write = ['-no-cnv', '-p', 'Once upon a time', '-n', '16', '--temp', '0'];
    const beside = await cria(['run', model, ...write, ...scaled]);
    expect(beside.code).toBe(0);
    expect(beside.stderr).not.toContain('trained');
    expect((await cria(['run', merged, ...write])).stdout).toBe(beside.stdout);
  });
});

describe('cria evaluate perplexity', () => {
  it('prints one JSON object', async () => {
    const text = join(NANO_SCOUT, 'evaluation.txt');
    const { code, stdout } = await cria([
      'evaluate',
      'perplexity',
      model,
      '-f',
      text,
      '-c',
      '128',
      '--chunks',
      '2',
      '-t',
      '2',
      '--json',
    ]);
    expect(code).toBe(0);
    const result = JSON.parse(stdout);
    expect(Object.keys(result).sort()).toEqual([
      'chunks',
      'meanNll',
      'perplexity',
      'perplexityError',
      'seconds',
      'tokens',
    ]);
    expect(result).toMatchObject({
      chunks: 2,
      tokens: 2 * 63,
      perplexity: expect.closeTo(Math.exp(result.meanNll), 6),
    });
  });
});

describe('cria calibrate', () => {
  it('goes on after it was killed, with the same bytes and another number of threads', async () => {
    const [whole, resumed] = ['whole', 'resumed'].map((name) => join(folder, `${name}.imatrix.gguf`)) as [
      string,
      string,
    ];
    const text = join(NANO_SCOUT, 'calibration.txt');
    const args = (output: string, threads: string) => [
      'calibrate',
      model,
      '-f',
      text,
      '-o',
      output,
      '-c',
      '64',
      '--chunks',
      '60',
      '-t',
      threads,
      '--json',
    ];
    const { code, stdout } = await cria(args(whole, '2'));
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      output: whole,
      datasets: [text],
      chunks: 60,
      chunkSize: 64,
      coverage: { layers: Array.from({ length: 6 }, (_, layer) => ({ layer, experts: 8, tokens: 60 * 64 })) },
    });

    const { child, outcome } = start(args(resumed, '2'));
    const state = `${resumed}.unfinished`;
    const watch = setInterval(async () => {
      if ((await readdir(folder)).includes('resumed.imatrix.gguf.unfinished')) child.kill('SIGKILL');
    }, 10);
    expect((await outcome).code).toBeNull();
    clearInterval(watch);
    await readFile(state);
    expect((await cria(args(resumed, '1'))).code).toBe(0);
    expect((await readFile(resumed)).equals(await readFile(whole))).toBe(true);
    await expect(readFile(state)).rejects.toThrow();
  });
});

describe('bad input', () => {
  /** A checkpoint folder with everything of nano-scout and one thing wrong. */
  async function spoiled(name: string, spoil: (copy: string) => Promise<unknown>): Promise<string> {
    const copy = join(folder, name);
    await mkdir(copy);
    for (const file of await readdir(NANO_SCOUT)) {
      if (/\.(json|safetensors)$/.test(file)) await copyFile(join(NANO_SCOUT, file), join(copy, file));
    }
    await spoil(copy);
    return copy;
  }

  const output = () => join(folder, 'out', 'model.gguf');

  beforeAll(async () => {
    await mkdir(join(folder, 'out'));
    await mkdir(join(folder, 'empty'));
    await spoiled('other-architecture', (copy) =>
      writeFile(
        join(copy, 'config.json'),
        JSON.stringify({ architectures: ['LlamaForCausalLM'], model_type: 'llama' }),
      ),
    );
    await spoiled('truncated-shard', (copy) =>
      truncate(join(copy, 'model-00001-of-00002.safetensors'), 1_000_000),
    );
    await spoiled('missing-shard', (copy) => rm(join(copy, 'model-00002-of-00002.safetensors')));
    await spoiled('bad-config', (copy) => writeFile(join(copy, 'config.json'), '{'));
    await cp(model, join(folder, 'truncated.gguf'));
    await truncate(join(folder, 'truncated.gguf'), 2_000_000);
    await writeFile(join(folder, 'text.gguf'), 'this is no model at all, only text\n');
    await writeFile(join(folder, 'bad.jinja'), '{% if %}');
    await writeFile(join(folder, 'short.txt'), 'short');
    await writeFile(join(folder, 'bad.jsonl'), '{"text": "no chat"}\n');
  });

  // A name with a slash stands for a path in the test's folder; OUT for an output that must not appear.
  it.each([
    ['no verb', '', 2, /missing verb/],
    ['an unknown verb', 'inspekt model', 2, /unknown verb 'inspekt'; did you mean 'inspect'\?/],
    ['half a verb', 'evaluate', 2, /expected 'cria evaluate perplexity'/],
    ['an unknown flag', 'run /nano.gguf --tempe 1', 2, /unknown option '--tempe'; did you mean '--temp'\?/],
    ['a bad value', 'run /nano.gguf --temp hot', 2, /--temp expects a number ≥ 0, found 'hot'/],
    [
      'an unknown type',
      'convert /other-architecture -o OUT --type q9',
      2,
      /--type expects one of .* found 'q9'/,
    ],
    [
      'an unknown cache type',
      'run /nano.gguf --cache-type-k q4',
      2,
      /expects one of f16, q8_0, f32, found 'q4'/,
    ],
    ['a missing model', 'run /nowhere.gguf -p x', 3, /nowhere\.gguf/],
    ['a missing prompt file', 'run /nano.gguf -f /nowhere.txt', 3, /nowhere\.txt/],
    ['a folder without a config', 'convert /empty -o OUT', 3, /config\.json/],
    ['a folder without a model', 'run /empty -p x', 3, /config\.json/],
    ['a missing output folder', 'convert /nano.gguf -o /nowhere/deep/out', 3, /no such file or folder/],
    ['another architecture', 'convert /other-architecture -o OUT', 5, /llama/i],
    ['a broken config', 'convert /bad-config -o OUT', 4, /config\.json/],
    ['a truncated shard', 'convert /truncated-shard -o OUT', 4, /model-00001-of-00002/],
    ['a missing shard', 'convert /missing-shard -o OUT', 3, /model-00002-of-00002/],
    ['a truncated model', 'run /truncated.gguf -p x', 4, /truncated\.gguf/],
    ['no model but text', 'inspect /text.gguf', 4, /GGUF/],
    ['a context beyond reason', 'run /nano.gguf -p x -c 999999999999', 2, /context/],
    ['a bad template', 'run /nano.gguf -p x --chat-template-file /bad.jinja', 4, /chat template/],
    ['too short a text', 'evaluate perplexity /nano.gguf -f /short.txt', 2, /at least 512 tokens/],
    ['a model as adapter', 'run /nano.gguf -p x --lora /nano.gguf', 4, /expected general.type "adapter"/],
    ['a merge of nothing', 'merge-lora /nano.gguf -o OUT', 2, /--lora FILE/],
    ['no chats', 'calibrate /nano.gguf -f /bad.jsonl -o OUT', 4, /bad\.jsonl' line 1: expected a chat/],
    [
      'a matrix that is none',
      'calibrate /nano.gguf -f /short.txt --in-file /text.gguf -o OUT',
      4,
      /text\.gguf/,
    ],
    ['the input as output', 'merge /nano.gguf /nano.gguf', 2, /is the input itself/],
  ])('%s: one line and the right exit code', async (_, command, code, message) => {
    const args = command
      .split(' ')
      .filter(Boolean)
      .map((word) => (word === 'OUT' ? output() : word.startsWith('/') ? join(folder, word) : word));
    const outcome = await cria(args, 'x');
    expect(outcome.stderr).toMatch(message);
    expectOneLine(outcome);
    expect(outcome.code).toBe(code);
    expect(await readdir(join(folder, 'out'))).toEqual([]);
  });
});

function expectOneLine({ stdout, stderr }: Outcome): void {
  expect(stdout).toBe('');
  expect(stderr).toMatch(/^cria: [^\n]+\n$/);
  expect(stderr).not.toMatch(/^ {4}at /m);
}
