import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeTinyCheckpoint } from '../src/convert/testing/tiny-checkpoint.js';
import { LLAMA4_SPLIT_PATTERN } from '../src/convert/vocabulary.js';

const CRIA = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));

async function cria(...args: string[]) {
  const child = spawn(process.execPath, [CRIA, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const texts = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      texts[name] += text;
    });
  }
  const [code] = await once(child, 'close');
  return { code: code as number | null, ...texts };
}

/** A token for each byte, spelled as byte-level BPE spells them, and nothing to merge. */
function byteTokenizer(): object {
  const printable = (byte: number) => /[!-~\xa1-\xac\xae-\xff]/.test(String.fromCharCode(byte));
  let others = 256;
  const tokens = Array.from({ length: 256 }, (_, byte) =>
    String.fromCodePoint(printable(byte) ? byte : others++),
  );
  return {
    added_tokens: [{ id: 256, content: '<|begin_of_text|>', special: true }],
    pre_tokenizer: { type: 'Split', pattern: { Regex: LLAMA4_SPLIT_PATTERN } },
    model: { type: 'BPE', vocab: Object.fromEntries(tokens.map((token, id) => [token, id])), merges: [] },
  };
}

let folder: string;
const path = (name: string) => join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cria-export-'));
  await mkdir(path('tiny'));
  const config = { num_local_experts: 2, intermediate_size: 64, intermediate_size_mlp: 64, vocab_size: 272 };
  await writeTinyCheckpoint(path('tiny'), { dtype: 'BF16', config });
  await writeFile(path('tiny/tokenizer.json'), JSON.stringify(byteTokenizer()));
  await writeFile(path('text.txt'), 'abcd dcba cdab '.repeat(60));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('cria export', () => {
  it('keeps in 16 bits what rounding hurts most, within the size', async () => {
    const dynamic = ['export', path('tiny'), '--format', 'bnb-4bit', '-f', path('text.txt'), '--chunks', '1'];
    const plan = await cria(...dynamic, '--dry-run', '--json', '-t', '1');
    expect(plan).toMatchObject({ code: 0 });
    const { bytes, plainKld, predictedKld, tensors } = JSON.parse(plan.stdout);
    expect(predictedKld).toBeLessThan(plainKld);
    const written = await cria(...dynamic, '-o', path('dynamic'), '-t', '1');
    expect(written).toMatchObject({ code: 0 });
    const { quantization_config: config } = JSON.parse(await readFile(path('dynamic/config.json'), 'utf8'));
    const kept = tensors.filter((tensor: { kept: boolean }) => tensor.kept);
    expect(kept.length).toBeGreaterThan(0);
    expect(config.llm_int8_skip_modules.length).toBeGreaterThan(4);
    expect(bytes).toBeGreaterThan(0);
    const small = await cria(...dynamic, '-o', path('small'), '--target-size', '1000');
    expect(small).toMatchObject({ code: 2, stderr: expect.stringContaining('--target-size') });

    const back = await cria('convert', path('dynamic'), '-o', path('back.gguf'));
    expect(back).toMatchObject({ code: 0 });
  });

  it('spells floats as transformers wants them', async () => {
    const eight = await cria('export', path('tiny'), '--format', 'bnb-8bit', '-o', path('eight'));
    expect(eight).toMatchObject({ code: 0 });
    expect(await readFile(path('eight/config.json'), 'utf8')).toContain('"llm_int8_threshold": 6.0');
    expect(await readdir(path('eight'))).toContain('tokenizer.json');
  });

  it.each([
    [['--format', 'bnb-4bit', '-o', 'x'], 'expected -f FILE'],
    [['--format', 'bnb-8bit', '--plain', '-o', 'x'], 'need --format bnb-4bit'],
    [['--format', 'bnb-4bit', '--plain', '--target-size', '1G', '-o', 'x'], '--plain excludes'],
    [['--format', 'safetensors'], 'missing output'],
    [['-o', 'x'], 'missing form'],
  ])('says what is missing: %j', async (args, message) => {
    expect(await cria('export', path('tiny'), ...args)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining(message),
    });
  });
});
