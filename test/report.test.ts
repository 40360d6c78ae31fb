import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { goldenPath, NANO_SCOUT } from './golden.js';

const CRIA = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const IMATRIX = goldenPath('imatrix.gguf');
const EVALUATION = join(NANO_SCOUT, 'evaluation.txt');

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

let folder: string;
const path = (name: string) => join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cria-report-'));
  for (const type of ['Q8_0', 'Q4_0']) {
    await cria('quantize', NANO_SCOUT, '-o', path(`nano-${type}.gguf`), '--type', type, '--pure');
  }
}, 60_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('cria report', () => {
  it('writes a page and JSON with errors, coverage, perplexity and divergence', async () => {
    const [page, json] = [path('report.html'), path('report.json')];
    const outcome = await cria(
      ...['report', NANO_SCOUT, path('nano-Q8_0.gguf'), path('nano-Q4_0.gguf'), '-o', page, '--json', json],
      ...['--imatrix', IMATRIX, '-f', EVALUATION, '--chunks', '1', '-c', '256', '-t', '2'],
    );
    expect(outcome).toMatchObject({ code: 0, stdout: `${page}\n${json}\n` });
    const report = JSON.parse(await readFile(json, 'utf8'));
    expect(report).toMatchObject({ format: 'cria-report', version: 1, evaluationText: 'evaluation.txt' });
    const [q4, q8] = report.files;
    expect(q4).toMatchObject({ label: 'Q4_0', kind: 'static', bytes: expect.any(Number) });
    expect(q8).toMatchObject({ label: 'Q8_0', kind: 'static', recipe: 'Q8_0' });
    expect(q4.quality.meanKld).toBeGreaterThan(q8.quality.meanKld);
    expect(q4.error.weighted).toBeGreaterThan(10 * q8.error.weighted);
    expect(report.coverage.layers).toHaveLength(6);
    const text = await readFile(page, 'utf8');
    expect(text).toMatch(/^<!doctype html>/);
    expect(text).toContain('Size against divergence');
    expect(text).not.toMatch(/https?:|<script/);
  });

  it('prints JSON alone, without text and importance matrix', async () => {
    const { code, stdout } = await cria('report', NANO_SCOUT, path('nano-Q8_0.gguf'), '--json', '-');
    expect(code).toBe(0);
    const report = JSON.parse(stdout);
    expect(report.files).toHaveLength(1);
    expect(report.files[0]).not.toHaveProperty('quality');
    expect(report).not.toHaveProperty('coverage');
  });

  it.each([
    [[], 2, /missing output: expected -o FILE, or --json FILE/],
    [['-o', 'OUT', '--imatrix', 'nano-Q8_0.gguf'], 4, /imatrix|importance/],
    [['-o', 'nano-Q8_0.gguf'], 2, /is part of the input itself/],
    [['-o', '.'], 2, /folder|directory/],
    [['-o', 'OUT', '-f', '/nowhere.txt'], 3, /cannot read '\/nowhere.txt'/],
  ])('refuses %j in one line', async (args, code, message) => {
    const before = (await readdir(folder)).sort();
    const absolute = args.map((arg) => (/^(OUT|nano|\.)/.test(arg) ? path(arg) : arg));
    const outcome = await cria('report', NANO_SCOUT, path('nano-Q8_0.gguf'), ...absolute);
    expect(outcome).toMatchObject({ code, stdout: '', stderr: expect.stringMatching(message) });
    expect(outcome.stderr.trimEnd().split('\n')).toHaveLength(1);
    expect((await readdir(folder)).sort()).toEqual(before);
  });
});
