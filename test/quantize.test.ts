import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openGguf } from '../src/formats/gguf/index.js';
import { goldenPath, NANO_SCOUT } from './golden.js';

const CRIA = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const IMATRIX = goldenPath('imatrix.gguf');

function start(...args: string[]) {
  const child = spawn(process.execPath, [CRIA, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const texts = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      texts[name] += text;
    });
  }
  return {
    child,
    outcome: once(child, 'close').then(([code]) => ({ code: code as number | null, ...texts })),
  };
}

const cria = (...args: string[]) => start(...args).outcome;

let folder: string;
const path = (name: string) => join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cria-quantize-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('cria quantize', () => {
  it('writes a mix that llama.cpp knows, with notes on the importance matrix', async () => {
    const out = path('q8.gguf');
    expect(
      await cria('quantize', NANO_SCOUT, '-o', out, '--type', 'q8_0', '--imatrix', IMATRIX),
    ).toMatchObject({ code: 0, stdout: `${out}\n` });
    const file = await openGguf(out);
    await file.close();
    expect([...file.metadata].filter(([key]) => key.startsWith('quantize.'))).toEqual([
      ['quantize.imatrix.file', { type: 'string', value: 'imatrix.gguf' }],
      ['quantize.imatrix.dataset', { type: 'string', value: expect.any(String) }],
      ['quantize.imatrix.entries_count', { type: 'uint32', value: 67 }],
      ['quantize.imatrix.chunks_count', { type: 'uint32', value: expect.any(Number) }],
    ]);
    const sha256 = expect.stringMatching(/^[0-9a-f]{64}$/);
    const inputs = file.metadata.get('cria.quantize.input_sha256')?.value as string[];
    expect(inputs).toContainEqual(expect.stringMatching(/^model-00001-of-00002\.safetensors [0-9a-f]{64}$/));
    expect(file.metadata.get('cria.quantize.imatrix_sha256')?.value).toEqual(sha256);
    expect(file.metadata.get('cria.quantize.request')?.value).toBe('Q8_0');
    expect(file.metadata.get('general.file_type')?.value).toBe(7);
    expect(file.tensors.get('blk.0.ffn_gate_inp.weight')?.type).toBe('F32');
    expect(file.tensors.get('blk.0.ffn_down_exps.weight')?.type).toBe('Q8_0');
  });

  it('shows a plan that can be edited and passed back', async () => {
    const shown = await cria('quantize', NANO_SCOUT, '--type', 'Q4_K_M', '--dry-run', '--json');
    const plan = JSON.parse(shown.stdout);
    expect(plan).toMatchObject({ recipe: 'Q4_K_M', fileType: 15, types: { 'output.weight': 'Q6_K' } });
    for (const name of Object.keys(plan.types)) plan.types[name] = 'Q8_0';
    plan.types['output.weight'] = 'F16';
    await writeFile(path('plan.json'), JSON.stringify(plan));
    const out = path('planned.gguf');
    expect(await cria('quantize', NANO_SCOUT, '-o', out, '--plan', path('plan.json'))).toMatchObject({
      code: 0,
    });
    const file = await openGguf(out);
    await file.close();
    expect(file.tensors.get('output.weight')?.type).toBe('F16');
    expect(file.tensors.get('blk.3.attn_v.weight')?.type).toBe('Q8_0');
  });

  it('shows types and the size, and what to know', async () => {
    const { stdout, stderr } = await cria(
      ...['quantize', NANO_SCOUT, '--recipe', 'UD-IQ1_S', '--dry-run'],
      ...[
        '--tensor-type',
        'attn_[kv]=Q8_0',
        '--tensor-type',
        'nothing=Q8_0',
        '--token-embedding-type',
        'Q6_K',
      ],
    );
    expect(stdout).toMatch(/^ffn_down_exps +Q4_K 0, IQ2_XXS 1, Q3_K 2-5 /m);
    expect(stdout).toMatch(/^attn_k +Q8_0 /m);
    expect(stdout).toMatch(/^token_embd +Q6_K /m);
    expect(stdout).toMatch(/^UD-IQ1_S: \d\.\d+ MB \(\d+ bytes\), \d\.\d+ bits per weight$/m);
    expect(stderr).toBe(
      'note: --tensor-type "nothing" matches no weight matrix\n' +
        'note: IQ1_S, IQ2_XXS lose much without an importance matrix (--imatrix)\n',
    );
  });

  it('goes on after it was killed', async () => {
    const args = ['--type', 'Q8_0', '--pure', '-t', '2'];
    const [whole, cut] = [path('whole.gguf'), path('cut.gguf')];
    const { child, outcome } = start('quantize', NANO_SCOUT, '-o', cut, ...args);
    // Once the work is under way; where it ends before the signal, nothing was cut and the rest holds as well.
    while (child.exitCode === null && !(await exists(`${cut}.partial`))) await sleep(10);
    await sleep(50);
    child.kill('SIGKILL');
    await outcome;
    expect(await cria('quantize', NANO_SCOUT, '-o', cut, ...args)).toMatchObject({ code: 0 });
    expect(await cria('quantize', NANO_SCOUT, '-o', whole, ...args)).toMatchObject({ code: 0 });
    expect((await readFile(cut)).equals(await readFile(whole))).toBe(true);
    expect((await readdir(folder)).filter((name) => name.includes('partial'))).toEqual([]);
  });

  it.each([
    [['--type', 'Q9'], 2, /unknown type or recipe 'Q9'/],
    [[], 2, /expected one of --type, --recipe, --plan, --target-size, .* found none/],
    [['--target-size', '5MB'], 2, /missing calibration text: a target size needs -f FILE/],
    [['--target-size', '5MB', '--target-bpw', '3'], 2, /found 2 of them/],
    [['--fit-ram', '1GB'], 2, /1.0 GB of memory leave nothing for weights/],
    [['--type', 'Q8_0', '--recipe', 'UD-IQ1_S'], 2, /found 2 of them/],
    [['--type', 'Q8_0', '--tensor-type', '(=Q8_0'], 2, /--tensor-type: Invalid regular expression/],
    [['--type', 'Q8_0', '--tensor-type', 'Q8_0'], 2, /expects REGEX=TYPE/],
    [['--type', 'Q8_0', '--keep-split'], 2, /--keep-split needs a GGUF file/],
    [['--plan', '/nowhere.json'], 3, /cannot read '\/nowhere.json'/],
  ])('refuses %j in one line', async (args, code, message) => {
    const outcome = await cria('quantize', NANO_SCOUT, '-o', path('bad.gguf'), ...args);
    expect(outcome).toMatchObject({ code, stdout: '', stderr: expect.stringMatching(message) });
    expect(outcome.stderr.split('\n')).toHaveLength(2);
    expect(await exists(path('bad.gguf'))).toBe(false);
  });
});

describe('cria recipes', () => {
  it('prints an array for a published model', async () => {
    const recipes = JSON.parse((await cria('recipes', '--model', 'scout', '--json')).stdout);
    expect(recipes).toHaveLength(6);
    expect(recipes[0]).toMatchObject({
      recipe: 'UD-IQ1_S',
      bytes: expect.closeTo(33.85e9, -7),
      bitsPerWeight: expect.closeTo(2.51, 2),
      types: { 'blk.0.ffn_down_exps.weight': 'Q4_K', 'blk.47.ffn_down_exps.weight': 'Q3_K' },
    });
  });

  it('agrees with quantize about a model at a path', async () => {
    const recipes = JSON.parse((await cria('recipes', '--model', NANO_SCOUT, '--all', '--json')).stdout);
    const plan = JSON.parse(
      (await cria('quantize', NANO_SCOUT, '--type', 'Q4_K_M', '--dry-run', '--json')).stdout,
    );
    const { bytes, types } = recipes.find(({ recipe }: { recipe: string }) => recipe === 'Q4_K_M');
    expect(types).toEqual(plan.types);
    // A file also says what it was made from.
    expect(plan.bytes - bytes).toBeGreaterThan(0);
    expect(plan.bytes - bytes).toBeLessThan(4096);
  });
});

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
