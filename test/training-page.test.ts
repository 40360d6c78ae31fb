import { mkdir } from 'node:fs/promises';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTrainingPage, type TrainingPage } from '../src/server/training-page.js';
import type { TrainingEvent } from '../src/train/events.js';
import { sampleRun } from '../src/train/report/testing/sample-run.js';
import { TrainingHistory } from '../src/train/report/training-history.js';
import { findBrowser } from './browser.js';

const BROWSER = findBrowser();
/** Where pictures of the page go, for people to look at. */
const SCREENSHOTS = process.env.CRIA_SCREENSHOTS;

/** A run whose page is open. */
async function openRun() {
  const history = new TrainingHistory();
  const page = await openTrainingPage({ port: 0, history });
  const tell = (events: readonly TrainingEvent[]) => {
    for (const event of events) {
      history.add(event);
      page.observer(event);
    }
  };
  return { page, tell };
}

describe('the server of the live page', () => {
  it('answers this machine alone', async () => {
    const { page } = await openRun();
    try {
      const answer = await fetch(page.url);
      expect(answer.status).toBe(200);
      expect(answer.headers.get('content-security-policy')).toContain("default-src 'none'");
      expect(await answer.text()).toContain('The model is being loaded.');
      expect((await fetch(`${page.url}/nothing`)).status).toBe(404);
      expect(await statusFor(page.url, 'evil.example')).toBe(403);
      await expect(
        openTrainingPage({ port: Number(new URL(page.url).port), history: new TrainingHistory() }),
      ).rejects.toThrow(/cannot listen on 127\.0\.0\.1:\d+: it is in use/);
    } finally {
      await page.close();
    }
  });

  /** fetch does not let its callers choose the header. */
  async function statusFor(url: string, host: string): Promise<number | undefined> {
    const { get } = await import('node:http');
    return new Promise((resolve, reject) => {
      get(url, { headers: { host } }, (answer) => {
        answer.resume();
        resolve(answer.statusCode);
      }).on('error', reject);
    });
  }
});

describe.skipIf(BROWSER === undefined)('the live page', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await chromium.launch({
      executablePath: BROWSER!,
      chromiumSandbox: process.getuid?.() !== 0,
    });
    if (SCREENSHOTS !== undefined) await mkdir(SCREENSHOTS, { recursive: true });
  });
  afterAll(() => browser?.close());

  async function withPage(
    server: TrainingPage,
    body: (page: Page) => Promise<void>,
    options: BrowserContextOptions = {},
  ): Promise<void> {
    const context = await browser.newContext({ locale: 'en-US', ...options });
    const complaints: string[] = [];
    context.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text());
    });
    context.on('weberror', (error) => complaints.push(error.error().message));
    context.on('request', (request) => {
      if (!request.url().startsWith(server.url)) complaints.push(`asked for ${request.url()}`);
    });
    try {
      const page = await context.newPage();
      page.setDefaultTimeout(10_000);
      await page.goto(server.url);
      await body(page);
      expect(complaints).toEqual([]);
    } finally {
      await context.close();
    }
  }

  async function picture(page: Page, name: string): Promise<void> {
    if (SCREENSHOTS !== undefined)
      await page.screenshot({ path: `${SCREENSHOTS}/${name}.png`, fullPage: true });
  }

  const figure = (page: Page, name: string) =>
    page.locator(`.facts div:has(dt:text-is("${name}")) dd`).first();

  it('follows a run from before its first step, and shows all of it to who comes later', async () => {
    const events = sampleRun(300);
    const { page: server, tell } = await openRun();
    try {
      await withPage(server, async (page) => {
        await page.getByText('The model is being loaded.').waitFor();
        tell(events.slice(0, 100));
        await page.getByText(/^\d+ of 300$/).waitFor();
        expect(await page.locator('figure').count()).toBe(5);
        await picture(page, 'running');
        await withPage(server, async (other) => {
          await expect.poll(() => other.title()).toMatch(/^\d+\/300/);
          expect(await figure(other, 'step').innerText()).toBe(await figure(page, 'step').innerText());
          expect(await other.locator('.curve').first().getAttribute('d')).toBe(
            await page.locator('.curve').first().getAttribute('d'),
          );
        });
        tell(events.slice(100));
        await page.getByText('300 of 300').waitFor();
        await page.locator('.state.finished').waitFor();
        await server.close();
        expect(await page.locator('#lost').isVisible()).toBe(false);
      });
    } finally {
      await server.close();
    }
  });

  it('shows values where the pointer rests', async () => {
    const { page: server, tell } = await openRun();
    tell(sampleRun(60).slice(0, -1));
    try {
      await withPage(server, async (page) => {
        await page.locator('figure svg:not(.key)').first().hover();
        const readout = page.locator('.at text:visible').first();
        expect(await readout.textContent()).toMatch(/step \d+: loss [\d.]+ · smoothed [\d.]+ · evaluation/);
        await picture(page, 'readout');
      });
    } finally {
      await server.close();
    }
  });

  it('says that the training is gone, and goes on when it is back', async () => {
    const events = sampleRun(20).slice(0, -1);
    const first = await openRun();
    const port = Number(new URL(first.page.url).port);
    first.tell(events.slice(0, 10));
    const context = await browser.newContext({ locale: 'en-US' });
    try {
      const page = await context.newPage();
      await page.goto(first.page.url);
      await expect.poll(() => page.title()).toMatch(/20/);
      await first.page.close();
      await page.locator('#lost').waitFor();
      const history = new TrainingHistory();
      for (const event of events) history.add(event);
      const second = await openTrainingPage({ port, history });
      try {
        await page.getByText('20 of 20').waitFor({ timeout: 15_000 });
        expect(await page.locator('#lost').isVisible()).toBe(false);
      } finally {
        await second.close();
      }
    } finally {
      await context.close();
    }
  });

  it('speaks Japanese, is dark, and fits a phone', async () => {
    const { page: server, tell } = await openRun();
    tell(sampleRun(60).slice(0, -1));
    tell([{ event: 'warning', message: 'a warning' }]);
    const viewport = { width: 375, height: 800 };
    try {
      await withPage(
        server,
        async (page) => {
          await page.getByText('評価損失').first().waitFor();
          const width = await page.evaluate(() => document.documentElement.scrollWidth);
          expect(width).toBe(viewport.width);
          await picture(page, 'phone');
          await page.getByText('English').click();
          await page.getByText('evaluation loss').first().waitFor();
        },
        { locale: 'ja-JP', colorScheme: 'dark', viewport },
      );
    } finally {
      await server.close();
    }
  });
});
