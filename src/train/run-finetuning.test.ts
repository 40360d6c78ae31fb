import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openAdapter } from '../convert/lora/open-adapter.js';
import { openModel } from '../convert/open-model.js';
import type { TrainingEvent } from './events.js';
import type { FinetuneOptions } from './finetune-options.js';
import { runFinetuning } from './run-finetuning.js';
import { type FakeOptions, fakeOpen } from './testing/fake-model.js';

const NANO_SCOUT = fileURLToPath(new URL('../../models/nano-scout', import.meta.url));

let folder: string;
let data: string;
let pairs: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cria-finetuning-'));
  data = join(folder, 'rows.jsonl');
  pairs = join(folder, 'pairs.jsonl');
  const rows = Array.from({ length: 12 }, (_, i) => ({
    prompt: `Count to ${i}:`,
    completion: ` ${'one '.repeat(i + 1)}`,
  }));
  await writeFile(data, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  const choices = rows.map(({ prompt }) => ({ prompt, chosen: ' yes', rejected: ' no, never' }));
  await writeFile(pairs, choices.map((row) => `${JSON.stringify(row)}\n`).join(''));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const usual: Partial<FinetuneOptions> = {
  targetModules: ['q_proj'],
  rank: 2,
  contextSize: 64,
  batchSize: 2,
  epochs: 2,
  learningRate: 0.01,
};

async function run(name: string, options: Partial<FinetuneOptions> = {}, fake: FakeOptions = {}) {
  const output = join(folder, name);
  const events: TrainingEvent[] = [];
  const given = { model: NANO_SCOUT, output, data: [data], ...usual, ...options };
  const observe = (event: TrainingEvent) => void events.push(event);
  const result = await runFinetuning({ ...given, observe }, fakeOpen(fake)).catch((error) => ({ error }));
  return { result, events, output };
}

const bytesOf = (output: string, name = 'adapter_model.safetensors') => readFile(join(output, name));
const checkpoints = async (output: string) =>
  (await readdir(output)).filter((name) => name.includes('checkpoint')).sort();

describe('a run', () => {
  it('writes adapters, log and report, and tells what happens', async () => {
    const { result, events, output } = await run('plain', { evalSplit: 0.2, saveSteps: 3 });
    expect(result).toMatchObject({ reason: 'finished', step: 10 });
    expect(await readdir(output)).toEqual([
      'adapter.gguf',
      'adapter_config.json',
      'adapter_model.safetensors',
      'checkpoint-6',
      'checkpoint-9',
      'train-log.jsonl',
      'training-report.html',
    ]);
    const steps = events.filter((event) => event.event === 'step');
    expect(steps.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    const log = String(await bytesOf(output, 'train-log.jsonl'))
      .trim()
      .split('\n');
    expect(log.map((line) => JSON.parse(line).event)).toEqual(events.map(({ event }) => event));
    const source = await openModel(NANO_SCOUT);
    const adapter = await openAdapter(output);
    expect(adapter.base.name).toBe(NANO_SCOUT);
    expect(adapter.tensors.size).toBe(6);
    await adapter.close();
    await source.close();
  });

  it('that is interrupted and resumed ends in the bytes of one that is not', async () => {
    const whole = await run('whole', { gradientAccumulationSteps: 2 });
    const options = { gradientAccumulationSteps: 2, saveSteps: 2, resume: true };
    for (const stop of [1, 4]) {
      const controller = new AbortController();
      const stopped = await run(
        'parts',
        { ...options, signal: controller.signal },
        { beforeUpdate: (step) => step === stop && controller.abort() },
      );
      expect(stopped.result).toMatchObject({ error: { code: 'cancelled' } });
      expect(stopped.events.at(-1)).toMatchObject({ event: 'end', reason: 'interrupted', step: stop });
      expect(await checkpoints(stopped.output)).toContain(`checkpoint-${stop}`);
    }
    const { result, events, output } = await run('parts', options);
    expect(result).toMatchObject({ reason: 'finished', step: 6 });
    expect(events[0]).toMatchObject({ event: 'start', firstStep: 4 });
    expect(await bytesOf(output)).toEqual(await bytesOf(whole.output));
    const log = String(await bytesOf(output, 'train-log.jsonl'))
      .trim()
      .split('\n');
    const steps = log.map((line) => JSON.parse(line)).filter(({ event }) => event === 'step');
    expect(steps.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it('goes on with the same options and data only', async () => {
    await run('same', { saveSteps: 2 });
    const other = await run('same', { saveSteps: 2, resume: true, learningRate: 0.02 });
    expect(other.result).toMatchObject({
      error: {
        code: 'resume-mismatch',
        message: expect.stringContaining('--learning-rate 0.01, found 0.02'),
      },
    });
    const { result } = await run('same', { saveSteps: 2, resume: true, data: [data, data] });
    expect(result).toMatchObject({ error: { code: 'resume-mismatch' } });
    const again = await run('same');
    expect(again.result).toMatchObject({ error: { code: 'folder-not-empty' } });
  });

  it('stops where the loss is no number, and keeps what it saved', async () => {
    const { result, events, output } = await run('diverged', { saveSteps: 2 }, { divergesAt: 6 });
    expect(result).toMatchObject({
      error: {
        kind: 'usage',
        code: 'loss-not-finite',
        message: expect.stringMatching(/^step 6: .* step 4 stays/),
      },
    });
    expect(events.at(-1)).toMatchObject({ event: 'end', reason: 'not-finite', step: 5 });
    expect(await checkpoints(output)).toEqual(['checkpoint-2', 'checkpoint-4']);
  });

  it('ends when the evaluation loss stops falling, with its best state', async () => {
    const options = { evalSplit: 0.3, evalSteps: 1, earlyStoppingPatience: 2, epochs: 20, learningRate: 0.2 };
    const { result, events, output } = await run('early', options);
    const evaluations = events.filter((event) => event.event === 'evaluation');
    const best = evaluations.findLast((event) => event.best)!;
    expect(result).toMatchObject({ reason: 'early-stop', bestStep: best.step, evaluationLoss: best.loss });
    expect(evaluations.at(-1)!.step).toBe(best.step + 2);
    expect(await bytesOf(output)).toEqual(await bytesOf(join(output, `checkpoint-${best.step}`)));
  });

  it('leaves the checkpoint before as it was when the disk is full', async () => {
    let saves = 0;
    const onRead = () => {
      if (++saves > 40) throw Object.assign(new Error('no space'), { code: 'ENOSPC', path: 'x' });
    };
    const { result, output } = await run('full-disk', { saveSteps: 1, saveTotalLimit: 9 }, { onRead });
    expect(result).toMatchObject({ error: { code: 'disk-full' } });
    expect(await checkpoints(output)).toEqual(['checkpoint-1']);
    const { result: finished } = await run('full-disk', { resume: true });
    expect(finished).toMatchObject({ reason: 'finished' });
  });

  it('prefers chosen to rejected answers', async () => {
    const { events } = await run('dpo', {
      method: 'dpo',
      data: [pairs],
      learningRate: 0.01,
      beta: 1,
      evalSplit: 0.2,
    });
    const margins = events.flatMap((event) => (event.event === 'step' ? [event.preference!.margin] : []));
    expect(margins.at(-1)).toBeGreaterThan(margins[0]!);
    expect(events.find(({ event }) => event === 'evaluation')).toHaveProperty('preference.accuracy');
  });

  it('refuses options that exclude each other, and modules that are not there', async () => {
    const codeOf = async (options: Partial<FinetuneOptions>) => (await run('refused', options)).result;
    expect(await codeOf({ fromScratch: true })).toMatchObject({ error: { code: 'conflicting-options' } });
    expect(await codeOf({ full: true })).toMatchObject({ error: { code: 'conflicting-options' } });
    expect(await codeOf({ earlyStoppingPatience: 1 })).toMatchObject({
      error: { code: 'conflicting-options' },
    });
    expect(await codeOf({ targetModules: ['q_prj'] })).toMatchObject({
      error: { code: 'unknown-module', message: expect.stringContaining("did you mean 'q_proj'?") },
    });
  });
});
