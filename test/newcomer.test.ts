import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import OpenAI from 'openai';
import { chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FakeHub } from '../src/hub/testing/fake-hub.js';
import { findBrowser } from './browser.js';
import { goldenPath, NANO_SCOUT } from './golden.js';
import { type ServeProcess, startServer } from './serve-process.js';

const CRIA = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const BROWSER = findBrowser();
/** What `scout` stands for. */
const REPOSITORY = 'unsloth/Llama-4-Scout-17B-16E-Instruct-GGUF';

/** The README's commands in its order, each finding what the one before left. */
describe('a newcomer', () => {
  let folder: string;
  let hub: FakeHub;
  let server: ServeProcess;
  const environment = () => ({
    ...process.env,
    HF_ENDPOINT: hub?.endpoint,
    HF_HOME: join(folder, 'home'),
    HF_HUB_CACHE: '',
    LLAMA_CACHE: '',
  });

  function cria(...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
    const child = spawn(process.execPath, [CRIA, ...args], {
      env: environment(),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const texts = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (text: string) => {
        texts[name] += text;
      });
    }
    return new Promise((resolve) => child.on('close', (code) => resolve({ code, ...texts })));
  }

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'cria-newcomer-'));
    const [model, tower] = [join(folder, 'model.gguf'), join(folder, 'mmproj.gguf')];
    expect(await cria('convert', NANO_SCOUT, '-o', model, '--mmproj', tower)).toMatchObject({ code: 0 });
    const files = {
      'nano-UD-Q2_K_XL.gguf': await readFile(model),
      'mmproj-BF16.gguf': await readFile(tower),
    };
    hub = await FakeHub.start({ [REPOSITORY]: { files } });
  });

  afterAll(async () => {
    await server?.stop();
    await hub?.close();
    await rm(folder, { recursive: true, force: true });
  });

  it('pulls a model by its short name', async () => {
    const { code, stdout } = await cria('pull', 'scout');
    expect(code).toBe(0);
    expect(stdout.trim()).toMatch(/nano-UD-Q2_K_XL\.gguf$/);
    expect((await cria('list')).stdout).toContain('Llama-4-Scout-17B-16E-Instruct-GGUF');
  });

  it('plans', async () => {
    const { code, stdout } = await cria('plan', 'scout', '--ram', '64GB', '--vram', '24GB');
    expect(code).toBe(0);
    expect(stdout).toContain('Best: ');
  });

  it('runs it with a picture, whose tower came along', async () => {
    const picture = goldenPath('image-square.png');
    const asked = ['-p', 'What is this?', '-n', '4', '--temp', '0', '-t', '2'];
    const seeing = await cria('run', 'scout', '--image', picture, ...asked);
    expect(seeing).toMatchObject({ code: 0 });
    const blind = await cria('run', 'scout', ...asked);
    expect(blind).toMatchObject({ code: 0 });
    expect(seeing.stdout).not.toBe(blind.stdout);
  });

  it('serves it to the openai client, with tools and a JSON schema', async () => {
    server = await startServer(['scout', '--webui', '-c', '2048', '-np', '2', '-t', '2'], environment());
    const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none' });
    const model = (await client.models.list()).data[0]!.id;
    const messages = [{ role: 'user' as const, content: 'What is the weather in Oslo?' }];
    const parameters = {
      type: 'object',
      properties: { city: { enum: ['Oslo', 'Rome'] } },
      required: ['city'],
    };
    const called = await client.chat.completions.create({
      model,
      messages,
      seed: 1,
      tools: [{ type: 'function', function: { name: 'weather', parameters } }],
      tool_choice: 'required',
    });
    const call = called.choices[0]!.message.tool_calls![0]!;
    if (call.type !== 'function') throw new Error(`a call of a function was expected, not ${call.type}`);
    expect(call.function.name).toBe('weather');
    expect(['Oslo', 'Rome']).toContain(JSON.parse(call.function.arguments).city);
    const formatted = await client.chat.completions.create({
      model,
      messages,
      seed: 1,
      response_format: {
        type: 'json_schema',
        json_schema: { name: 'place', strict: true, schema: parameters },
      },
    });
    expect(['Oslo', 'Rome']).toContain(JSON.parse(formatted.choices[0]!.message.content!).city);
  });

  it.skipIf(BROWSER === undefined)('chats in the page', async () => {
    const browser = await chromium.launch({
      executablePath: BROWSER!,
      chromiumSandbox: process.getuid?.() !== 0,
    });
    try {
      const page = await browser.newPage();
      await page.goto(server.url);
      await page.locator('.dot.ready').waitFor();
      await page.locator('#composer').fill('Hello');
      await page.locator('#composer').press('Enter');
      await page.locator('.message.assistant .markdown').waitFor();
      await page.keyboard.press('Escape');
      expect(await page.locator('.message.assistant .markdown').innerText()).not.toBe('');
    } finally {
      await browser.close();
    }
  });
});
