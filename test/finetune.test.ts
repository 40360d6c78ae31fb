import { spawn } from 'node:child_process';
import { cp, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openAdapter } from '../src/convert/lora/open-adapter.js';
import { openModel } from '../src/convert/open-model.js';
import type { TensorSource } from '../src/formats/tensor-source.js';
import type { TrainingEvent } from '../src/train/events.js';
import { NANO_SCOUT } from './golden.js';

const CRIA = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cria-finetune-'));
  const rows = ['dogs', 'cats', 'owls', 'bees'].map((word) => ({
    prompt: `The sound of ${word}:`,
    completion: ' hmm hmm',
  }));
  await writeRows('rows.jsonl', rows);
  const pairs = rows.map(({ prompt, completion }) => ({ prompt, chosen: completion, rejected: ' loud' }));
  await writeRows('pairs.jsonl', pairs);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const writeRows = (name: string, rows: readonly unknown[]) =>
  writeFile(join(folder, name), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));

/** Runs `cria` in the folder of the test; `onLine` sees standard error as it comes. */
async function cria(
  args: readonly string[],
  onLine?: (line: string, stop: (how: NodeJS.Signals) => void) => void,
) {
  const child = spawn(process.execPath, [CRIA, ...args], {
    cwd: folder,
    env: { ...process.env, CRIA_DEBUG: '' },
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    for (const line of text.split('\n')) onLine?.(line, (how) => child.kill(how));
  });
  child.stdin.end();
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { code, stdout, stderr };
}

const SMALL = ['-c', '32', '--lora-r', '4', '--target-modules', 'q_proj,v_proj', '--learning-rate', '1e-2'];
const RUN = [...SMALL, '--max-steps', '6', '--save-steps', '1', '--lora-dropout', '0.1', '--batch-size', '2'];
const train = (...args: string[]) => ['finetune', NANO_SCOUT, '--data', 'rows.jsonl', ...args];

async function eventsOf(output: string): Promise<TrainingEvent[]> {
  const log = await readFile(join(folder, output, 'train-log.jsonl'), 'utf8');
  return log
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}
const stepsOf = async (output: string) => (await eventsOf(output)).filter((event) => event.event === 'step');
const bytesOf = (output: string, name: string) => readFile(join(folder, output, name));

describe('docs/finetune.md', () => {
  it('goes from rows to a quantized model as it says', { timeout: 240_000 }, async () => {
    const text = await readFile(fileURLToPath(new URL('../docs/finetune.md', import.meta.url)), 'utf8');
    await symlink(fileURLToPath(new URL('../models', import.meta.url)), join(folder, 'models'));
    const blocks = [...text.matchAll(/```console\n(.*?)\n```\n\n/gs)].map(([, block]) => block!);
    const commands = blocks.flatMap((block) => block.split(/^\$ npx cria /m).slice(1));
    expect(commands).toHaveLength(9);
    for (const command of commands) {
      const [line = '', ...output] = command.split('\n');
      const args = [...line.matchAll(/'([^']*)'|\S+/g)].map(([word, quoted]) => quoted ?? word);
      const { code, stdout } = await cria(args);
      expect([line, code]).toEqual([line, 0]);
      const shown = output.join('\n').trim();
      if (shown !== '') expect(stdout.trim()).toContain(shown);
    }
  });
});

describe('cria finetune', () => {
  it('trains adapters that run, merge and quantize', async () => {
    const { code, stdout, stderr } = await cria(train(...RUN, '-o', 'whole'));
    expect(stderr).toMatch(/^training 19968 parameters of adapters on 4 examples/);
    expect(code).toBe(0);
    expect(stdout).toBe(
      'whole/adapter_model.safetensors\nwhole/adapter_config.json\nwhole/adapter.gguf\nwhole/training-report.html\n',
    );
    const steps = await stepsOf('whole');
    expect(steps.at(-1)!.loss).toBeLessThan(0.8 * steps[0]!.loss);

    const ask = ['-no-cnv', '-n', '4', '--temp', '0', '-p', 'The sound of bees:'];
    const base = await cria(['run', NANO_SCOUT, ...ask]);
    for (const adapter of ['whole', 'whole/adapter.gguf']) {
      const changed = await cria(['run', NANO_SCOUT, '--lora', adapter, ...ask]);
      expect(changed.stdout).not.toBe(base.stdout);
      // It knows its base by checksum.
      expect(changed.stderr).not.toContain('another model');
    }
    expect((await cria(['merge-lora', NANO_SCOUT, '--lora', 'whole', '-o', 'merged.gguf'])).code).toBe(0);
    expect((await cria(['quantize', 'merged.gguf', '-o', 'small.gguf', '--type', 'Q8_0'])).code).toBe(0);
    const merged = await cria(['run', 'small.gguf', ...ask]);
    expect(merged.stdout).not.toBe(base.stdout);
  });

  it('goes on after Ctrl-C and after being killed, to the same bytes', async () => {
    const interrupted = await cria(train(...RUN, '-o', 'parts'), (line, stop) => {
      if (line.startsWith('step 2 ')) stop('SIGINT');
    });
    expect(interrupted).toMatchObject({ code: 130, stdout: '' });
    expect(interrupted.stderr).toMatch(/cria: stopped after step \d, saved in 'parts': .* --resume goes on/);
    const killed = await cria(train(...RUN, '-o', 'parts', '--resume'), (line, stop) => {
      if (line.startsWith('step 5 ')) stop('SIGKILL');
    });
    expect(killed.code).toBe(null);
    // What a kill in the middle of saving leaves.
    await cp(join(folder, 'parts/checkpoint-4'), join(folder, 'parts/.checkpoint-9.partial'), {
      recursive: true,
    });
    const { code, stderr } = await cria(train(...RUN, '-o', 'parts', '--resume', '-t', '1'));
    expect(stderr).toMatch(/going on after step [45]/);
    expect(code).toBe(0);
    const name = 'adapter_model.safetensors';
    expect(await bytesOf('parts', name)).toEqual(await bytesOf('whole', name));
    expect((await stepsOf('parts')).map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(await readdir(join(folder, 'parts'))).not.toContain('.checkpoint-9.partial');
  });

  it('trains adapters of experts and routers on a quantized base', async () => {
    expect((await cria(['quantize', NANO_SCOUT, '-o', 'q4.gguf', '--type', 'Q4_K_M'])).code).toBe(0);
    const all = ['--experts', '--train-router', '-c', '32', '--lora-r', '2', '--learning-rate', '1e-2'];
    const more = ['--max-steps', '4', '--optim', 'adamw_8bit', '--gradient-checkpointing', '--packing'];
    const { code, stderr } = await cria([
      'finetune',
      'q4.gguf',
      '--data',
      'rows.jsonl',
      ...all,
      ...more,
      '-o',
      'experts',
    ]);
    expect([code, stderr]).toEqual([0, expect.stringContaining('step 4 of 4')]);
    const steps = await stepsOf('experts');
    expect(steps.at(-1)!.loss).toBeLessThan(steps[0]!.loss);
    expect(steps[0]!.auxiliaryLoss).toBeGreaterThan(0);
    const config = JSON.parse(String(await bytesOf('experts', 'adapter_config.json')));
    expect(config.target_parameters).toHaveLength(12);
    const adapter = await openAdapter(join(folder, 'experts/adapter.gguf'));
    expect(adapter.tensors.has('blk.5.ffn_up_exps.weight')).toBe(true);
    expect(adapter.tensors.has('blk.5.ffn_gate_inp.weight')).toBe(true);
    await adapter.close();
  });

  it('learns preferences', async () => {
    const args = [
      'finetune',
      NANO_SCOUT,
      '--method',
      'dpo',
      '--data',
      'pairs.jsonl',
      '--eval-data',
      'pairs.jsonl',
    ];
    const { code } = await cria([...args, ...SMALL, '--max-steps', '4', '--eval-steps', '4', '-o', 'dpo']);
    expect(code).toBe(0);
    const [first, ...steps] = await stepsOf('dpo');
    expect(first!.loss).toBeCloseTo(Math.LN2, 5);
    expect(first!.preference!.margin).toBeCloseTo(0, 5);
    expect(steps.at(-1)!.preference!.margin).toBeGreaterThan(0.1);
    const evaluation = (await eventsOf('dpo')).find((event) => event.event === 'evaluation');
    expect(evaluation!.preference).toMatchObject({ accuracy: 1 });
  });

  it.each([[[]], [['--from-scratch']], [['--method', 'dpo']]])('trains every weight: %j', async (how) => {
    const output = ['full', ...how].join('');
    const data = how.includes('dpo') ? 'pairs.jsonl' : 'rows.jsonl';
    const args = [
      'finetune',
      NANO_SCOUT,
      '--full',
      '--data',
      data,
      '-c',
      '32',
      '--max-steps',
      '2',
      '--batch-size',
      '4',
    ];
    const { code, stderr } = await cria([...args, '--learning-rate', '1e-3', ...how, '-o', output]);
    expect([code, stderr]).toEqual([0, expect.stringContaining('step 2 of 2')]);
    const [base, trained] = await Promise.all([openModel(NANO_SCOUT), openModel(join(folder, output))]);
    expect([...trained.tensors.keys()].sort()).toEqual([...base.tensors.keys()].sort());
    const row = async (source: TensorSource, name: string) => {
      const bytes = new Uint8Array(2 * 256);
      await source.readRows(name, 3, 1, bytes);
      return Buffer.from(bytes);
    };
    for (const name of ['blk.2.attn_q.weight', 'output.weight']) {
      expect((await row(base, name)).equals(await row(trained, name))).toBe(false);
    }
    await base.close();
    await trained.close();
  });

  it.each([
    ['no row that can be used', 'bad-rows.jsonl', [], 4, /bad-rows\.jsonl/],
    ['a row longer than the context', 'rows.jsonl', ['-c', '4'], 2, /rows\.jsonl.*4/],
    ['a module that is not there', 'rows.jsonl', ['--target-modules', 'q_prj'], 2, /did you mean 'q_proj'\?/],
    ['no regular expression', 'rows.jsonl', ['--target-modules', '(q'], 2, /one regular expression/],
    ['a folder with something in it', 'rows.jsonl', ['-o', '.'], 2, /--resume goes on/],
    ['data that are not there', 'nothing.jsonl', [], 3, /nothing\.jsonl/],
    [
      'a learning rate that makes nonsense',
      'rows.jsonl',
      ['--lr', '1e15', '--weight-decay', '1e9'],
      2,
      /^cria: step \d+: /m,
    ],
  ])('refuses %s in one line', async (_, data, args, code, message) => {
    await writeRows('bad-rows.jsonl', [{ question: 'what?' }, 7]);
    const output = args.includes('-o')
      ? []
      : ['-o', `refused-${data}-${args.join('')}`.replaceAll(/[^\w-]/g, '')];
    const found = await cria([
      'finetune',
      NANO_SCOUT,
      '--data',
      data,
      '-c',
      '32',
      '--lora-r',
      '2',
      ...args,
      ...output,
    ]);
    expect(found).toMatchObject({ code, stdout: '', stderr: expect.stringMatching(message) });
    const lines = found.stderr
      .trim()
      .split('\n')
      .filter((line) => !/^(training|step) /.test(line));
    expect(lines).toHaveLength(1);
    // Nothing is left but the log of a run that began.
    const left = await readdir(join(folder, output[1] ?? 'none')).catch(() => []);
    expect(left.filter((name) => !/^train(-log|ing-report)/.test(name))).toEqual([]);
    if (!message.source.startsWith('^cria: step')) expect(left).toEqual([]);
  });
});
