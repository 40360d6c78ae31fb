import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { NANO_SCOUT } from './golden.js';

const CRIA = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));

async function plan(...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [CRIA, 'plan', ...args]);
  return stdout;
}

describe('cria plan', () => {
  it('finds what fits 24 GB of GPU memory and 64 GB of main memory', async () => {
    const text = await plan('scout', '--vram', '24GB', '--ram', '64GB');
    expect(text).toContain('64.0 GB of memory at 60.0 GB/s (assumed)');
    expect(text).toMatch(/^UD-Q4_K_XL +65\.6 GB .* no +23\.\d GB on GPU; experts of \d+ layers in RAM/m);
    expect(text).toContain(
      'Best: UD-Q4_K_XL, the largest that fits.\n  cria pull scout:UD-Q4_K_XL\n  llama-cli -hf ',
    );
    expect(text).toMatch(/--n-gpu-layers 99 -ot "blk\\\.\([\d|]+\)\\\.ffn_\.\*_exps\\\.=CPU"/);
  });

  it('splits Maverick over GPUs', async () => {
    const text = await plan('maverick', '--vram', '2x48GB', '--ram', '128GB');
    expect(text).toContain('GPU 48.0 GB + 48.0 GB');
    expect(text).toContain('--split-mode layer --tensor-split 24,24 ');
  });

  it('says so when nothing fits', async () => {
    expect(await plan('maverick', '--ram', '16GB')).toMatch(/nothing fits: .*--cache-experts/);
  });

  it('plans sizes of a checkpoint on this machine, as JSON', async () => {
    const { machine, rungs, best, commands } = JSON.parse(await plan(NANO_SCOUT, '-c', '2048', '--json'));
    expect(machine.bandwidth.ram).toBeGreaterThan(1e8);
    expect(rungs.map(({ name }: { name: string }) => name)).toContain('UD-IQ2_XXS');
    expect(best).toBe('as it is');
    expect(commands).toContain(`  cria run ${NANO_SCOUT} -c 2048`);
  });

  it('counts a vision tower', async () => {
    const args = [NANO_SCOUT, '-c', '2048', '--ram', '4GB', '--vram', '2GB', '--json'];
    const alone = JSON.parse(await plan(...args));
    const { rungs, commands } = JSON.parse(await plan(...args, '--mmproj', NANO_SCOUT));
    expect(rungs[0].cria.bytes).toBeGreaterThan(alone.rungs[0].cria.bytes + 1e6);
    expect(commands).toContain(`  cria run ${NANO_SCOUT} -c 2048 --mmproj ${NANO_SCOUT}`);
    expect(commands.at(-1)).toContain(`--mmproj ${NANO_SCOUT} `);
  });

  it('plans the memory of training, and what fits', async () => {
    const args = ['scout', '--finetune', '--batch-size', '1', '--ram', '128GB'];
    const text = await plan(...args, '--lora-r', '8');
    expect(text).toContain('scout, LoRA of rank 8 (27,918,336 values), 1 × 1024 tokens, adamw\n');
    expect(text).toMatch(/^UD-Q4_K_XL +no +65\.6 GB .* no \(activations\)$/m);
    expect(text).toMatch(/^UD-Q4_K_XL +yes +65\.6 GB .* yes$/m);
    expect(text).toContain(
      '  cria finetune scout:UD-Q4_K_XL --data data.jsonl -o adapter --lora-r 8 --batch-size 1 --ctx-size 1024 --gradient-checkpointing\n',
    );
    expect(await plan(...args, '--full')).toMatch(/^nothing fits/m);
  });

  it('plans training of a checkpoint in any way, as JSON', async () => {
    const args = [NANO_SCOUT, '--finetune', '--full', '-c', '256', '--json'];
    const { plans, best } = JSON.parse(await plan(...args));
    expect(plans).toHaveLength(2);
    expect(best).toMatchObject({ name: 'F32', checkpointing: false, fits: true });
    expect(plans[1].memory.activations).toBeLessThan(plans[0].memory.activations);
    const eightBit = JSON.parse(await plan(...args, '--optim', 'adamw_8bit', '--gradient-checkpointing'));
    expect(eightBit.plans).toHaveLength(1);
    expect(eightBit.best.memory.optimizer).toBeLessThan(0.3 * best.memory.optimizer);
  });

  it('refuses more context than the model has', async () => {
    await expect(plan('maverick', '-c', '2000000', '--ram', '1TB')).rejects.toMatchObject({
      stderr: expect.stringContaining('--ctx-size expects at most 1048576'),
    });
  });
});
