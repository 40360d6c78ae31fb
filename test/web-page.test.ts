import { readFileSync } from 'node:fs';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findBrowser } from './browser.js';
import { NANO_SCOUT } from './golden.js';
import { type ServeProcess, startServer } from './serve-process.js';

const BROWSER = findBrowser();
if (BROWSER === undefined) {
  console.warn('the web page is not tested: no Chromium found; install it, or name it in CHROMIUM_PATH');
}

const KEY = 'a key of the test';
/** Short answers, the same each time. */
const SHORT = { apiKey: KEY, sampling: { temperature: 0 }, maxTokens: 8 };

describe.skipIf(BROWSER === undefined)('the web page', () => {
  let server: ServeProcess;
  let browser: Browser;
  beforeAll(async () => {
    const args = [NANO_SCOUT, '--webui', '-np', '2', '-c', '2048', '-t', '2', '--api-key', KEY];
    [server, browser] = await Promise.all([
      startServer(args),
      // Chromium does not run as root, as in containers, within its sandbox.
      chromium.launch({ executablePath: BROWSER!, chromiumSandbox: process.getuid?.() !== 0 }),
    ]);
  });
  afterAll(async () => {
    await browser?.close();
    await server?.stop();
  });

  /** Runs `body` in a page of its own; whatever the browser complains about fails it, unless it is `expected`. */
  async function withPage(
    settings: object,
    body: (page: Page) => Promise<void>,
    { expected, ...options }: BrowserContextOptions & { expected?: RegExp } = {},
  ): Promise<void> {
    const localStorage = [{ name: 'cria-settings', value: JSON.stringify(settings) }];
    const storageState = { cookies: [], origins: [{ origin: server.url, localStorage }] };
    const context = await browser.newContext({ locale: 'en-US', storageState, ...options });
    const complaints: string[] = [];
    const outside: string[] = [];
    context.on('console', (message) => {
      if (message.type() === 'error' && !expected?.test(message.text())) complaints.push(message.text());
    });
    context.on('weberror', (error) => complaints.push(error.error().message));
    context.on('request', (request) => {
      const url = request.url();
      if (!url.startsWith(server.url) && !/^(data|blob):/.test(url)) outside.push(url);
    });
    try {
      const page = await context.newPage();
      page.setDefaultTimeout(20_000);
      await page.goto(server.url);
      await body(page);
      expect(complaints).toEqual([]);
      expect(outside).toEqual([]);
    } finally {
      await context.close();
    }
  }

  const composer = (page: Page) => page.locator('#composer');
  const answers = (page: Page) => page.locator('.message.assistant');
  const figures = (page: Page) => answers(page).last().locator('.figures');

  async function ask(page: Page, text: string): Promise<void> {
    await page.locator('.dot.ready').waitFor();
    await composer(page).fill(text);
    await composer(page).press('Enter');
    await figures(page).waitFor();
  }

  const answerText = (page: Page) => answers(page).last().locator('.markdown').innerText();

  it('streams an answer with its figures, and has it after a reload', async () => {
    await withPage(SHORT, async (page) => {
      await ask(page, 'Hello');
      expect(await figures(page).innerText()).toMatch(/tokens\/s\s+8 tokens/);
      expect(await page.getByRole('meter').getAttribute('aria-label')).toMatch(/of 2,048 tokens/);
      const text = await answers(page).innerText();
      expect(text).toContain('The limit of tokens was reached.');
      await page.reload();
      await figures(page).waitFor();
      expect(await answers(page).innerText()).toBe(text);
      expect(await page.locator('.chat-title').innerText()).toBe('Hello');
    });
  });

  it('goes on with an answer that was cut short, as one answer', async () => {
    await withPage(SHORT, async (page) => {
      await ask(page, 'The sea');
      const half = await answers(page).last().locator('.markdown').textContent();
      await page.getByRole('button', { name: 'Continue' }).click();
      await page.waitForFunction(
        (before) => (document.querySelector('.markdown')?.textContent?.length ?? 0) > before,
        half!.length,
      );
      await figures(page).waitFor();
      const continued = await answers(page).last().locator('.markdown').textContent();
      await page.evaluate(() => {
        const stored = JSON.parse(localStorage.getItem('cria-settings')!);
        localStorage.setItem('cria-settings', JSON.stringify({ ...stored, maxTokens: 16 }));
      });
      await page.reload();
      await page.getByRole('button', { name: 'New chat' }).click();
      await ask(page, 'The sea');
      expect(await answers(page).last().locator('.markdown').textContent()).toBe(continued);
    });
  });

  it('stops a long answer by Escape and by its button, and the server with it', async () => {
    await withPage({ apiKey: KEY, seed: 1 }, async (page) => {
      for (const stop of ['key', 'button']) {
        await page.locator('.dot.ready').waitFor();
        await composer(page).fill('Hello');
        await composer(page).press('Enter');
        await answers(page).last().locator('.markdown').waitFor();
        if (stop === 'key') await page.keyboard.press('Escape');
        else await page.getByRole('button', { name: 'Stop' }).click();
        await answers(page).last().getByText('Stopped.').waitFor();
        expect(await answerText(page)).not.toBe('');
        expect(await page.getByRole('button', { name: 'Send' }).isDisabled()).toBe(true);
      }
      await expect
        .poll(async () => {
          const metrics = await fetch(`${server.url}/metrics`, { headers: { 'x-api-key': KEY } });
          return /^\S*(busy|processing)\S* (\d+)/m.exec(await metrics.text())?.[2];
        })
        .toBe('0');
    });
  });

  it('answers anew and answers edited messages, and keeps all versions', async () => {
    await withPage(SHORT, async (page) => {
      await ask(page, 'First');
      await ask(page, 'Second');
      await page.getByRole('button', { name: 'Answer again' }).last().click();
      await answers(page).last().getByText('2/2').waitFor();
      await figures(page).waitFor();
      await answers(page).last().getByRole('button', { name: 'Previous version' }).click();
      await answers(page).last().getByText('1/2').waitFor();

      await composer(page).press('ArrowUp');
      await page.getByRole('textbox', { name: 'Edit' }).fill('Third');
      await page.keyboard.press('Enter');
      await page.locator('.bubble', { hasText: 'Third' }).waitFor();
      await figures(page).waitFor();
      expect(await page.locator('.bubble').allInnerTexts()).toEqual(['First', 'Third']);
      await page.locator('.message.user').last().hover();
      await page.locator('.message.user').last().getByRole('button', { name: 'Previous version' }).click();
      expect(await page.locator('.bubble').allInnerTexts()).toEqual(['First', 'Second']);
    });
  });

  it('runs and loads nothing of what a model writes', async () => {
    const text = [
      '<img src=x onerror="window.attacked=1">',
      '<script>window.attacked=2</script>',
      '[click](javascript:window.attacked=3) and [this](https://example.com/)',
      '![pixel](https://example.com/pixel.png)',
      '<svg/onload=window.attacked=4><iframe srcdoc="<script>parent.attacked=5</script>"></iframe>',
      '<style>body{display:none}</style><a href="javascript:attacked=6" style="position:fixed">x</a>',
      '| <img src=x onerror=window.attacked=7> | b |\n|--:|---|\n| 1 | `<script>` |',
      '```html"><img src=x onerror=window.attacked=8>\n</code></pre><script>window.attacked=9</script>\n```',
    ].join('\n\n');
    const archive = {
      format: 'cria-conversations',
      version: 1,
      conversations: [
        {
          id: 'hostile',
          title: '<img src=x onerror=window.attacked=10>',
          updated: Date.now(),
          leaf: 'a',
          messages: [
            { id: 'q', parent: null, role: 'user', text: '<b onclick=x>q</b>', pictures: [] },
            { id: 'a', parent: 'q', role: 'assistant', text, calls: [], end: 'stop' },
          ],
        },
      ],
    };
    await withPage(
      SHORT,
      async (page) => {
        await page.setInputFiles('.import-file', {
          name: 'chats.json',
          mimeType: 'application/json',
          buffer: Buffer.from(JSON.stringify(archive)),
        });
        await page.locator('.chat-title').click();
        await page.locator('.markdown').waitFor();
        const found = await page.locator('.markdown').evaluate((element) => ({
          tags: [...new Set([...element.querySelectorAll('*')].map(({ localName }) => localName))].sort(),
          links: [...element.querySelectorAll('a')].map((a) => [a.getAttribute('href'), a.rel, a.target]),
          handlers: [...element.querySelectorAll('*')].flatMap((one) =>
            [...one.attributes].map(({ name }) => name).filter((name) => /^on|style/.test(name)),
          ),
          aligned: element.querySelector('td')?.getAttribute('align'),
        }));
        expect(found.tags).toEqual(
          [
            'a',
            'button',
            'code',
            'div',
            'p',
            'pre',
            'span',
            'table',
            'tbody',
            'td',
            'th',
            'thead',
            'tr',
          ].sort(),
        );
        const rel = 'noopener noreferrer nofollow';
        expect(found.links).toEqual([
          ['https://example.com/', rel, '_blank'],
          ['https://example.com/pixel.png', rel, '_blank'],
        ]);
        expect(found.handlers).toEqual([]);
        expect(found.aligned).toBe('right');
        expect(await page.evaluate(() => (window as { attacked?: number }).attacked)).toBeUndefined();
        // The policy holds even if the page itself were made to write a script.
        const blocked = page.waitForEvent('console', (message) => /Content Security/.test(message.text()));
        await page.evaluate(() => {
          const script = document.createElement('script');
          script.textContent = 'window.attacked = 11';
          document.body.append(script);
        });
        await blocked;
        expect(await page.evaluate(() => (window as { attacked?: number }).attacked)).toBeUndefined();
      },
      { expected: /inline script/ },
    );
  });

  it('keeps, renames, finds, exports and deletes conversations', async () => {
    await withPage(SHORT, async (page) => {
      await ask(page, 'About rivers');
      await page.keyboard.press('Control+k');
      await ask(page, 'About hills');
      const titles = page.locator('.chat-title');
      expect(await titles.allInnerTexts()).toEqual(['About hills', 'About rivers']);
      await titles.first().dblclick();
      await page.getByRole('textbox', { name: 'Rename' }).fill('Mountains');
      await page.keyboard.press('Enter');
      await titles.first().focus();
      await page.keyboard.press('ArrowDown');
      await page.keyboard.press('Enter');
      expect(await page.locator('.bubble').innerText()).toBe('About rivers');
      await page.getByRole('searchbox').fill('about mountains');
      expect(await titles.allInnerTexts()).toEqual(['Mountains']);
      await page.getByRole('searchbox').fill('');

      const [download] = await Promise.all([
        page.waitForEvent('download'),
        page.getByRole('button', { name: 'Export all' }).click(),
      ]);
      const exported = readFileSync(await download.path(), 'utf8');
      for (const _ of [1, 2]) {
        await titles.first().hover();
        await page.getByRole('button', { name: 'Delete' }).first().click();
      }
      expect(await titles.count()).toBe(0);
      await page.getByRole('button', { name: 'Undo' }).click();
      expect(await titles.count()).toBe(1);
      const file = { name: 'chats.json', mimeType: 'application/json' };
      await page.setInputFiles('.import-file', { ...file, buffer: Buffer.from(exported) });
      await page.getByText('Imported: 2').waitFor();
      expect((await titles.allInnerTexts()).sort()).toEqual(['About rivers', 'About rivers', 'Mountains']);
      await page.setInputFiles('.import-file', { ...file, buffer: Buffer.from('{"format": 1}') });
      await page.getByText("expected format 'cria-conversations'").waitFor();
    });
  });

  it('sends pictures, and shows them', async () => {
    const png = await sharp({ create: { width: 40, height: 30, channels: 3, background: '#c50' } })
      .png()
      .toBuffer();
    await withPage(SHORT, async (page) => {
      await page.locator('.dot.ready').waitFor();
      await page.setInputFiles('.picture-file', { name: 'two.png', mimeType: 'image/png', buffer: png });
      await page.getByRole('button', { name: 'Remove two.png' }).waitFor();
      await page.evaluate((base64) => {
        const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
        const data = new DataTransfer();
        data.items.add(new File([bytes], 'dropped.png', { type: 'image/png' }));
        window.dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));
      }, png.toString('base64'));
      await page.getByRole('button', { name: 'Remove dropped.png' }).click();
      await page.setInputFiles('.picture-file', {
        name: 'no.png',
        mimeType: 'image/png',
        buffer: Buffer.from('x'),
      });
      await page.getByText('no.png is not a picture').waitFor();
      const sent = page.waitForRequest('**/v1/chat/completions');
      await ask(page, 'What is this?');
      const { messages } = (await sent).postDataJSON();
      expect(messages[0].content).toEqual([
        { type: 'image_url', image_url: { url: `data:image/png;base64,${png.toString('base64')}` } },
        { type: 'text', text: 'What is this?' },
      ]);
      expect(await page.locator('.pictures img').getAttribute('alt')).toBe('two.png');
      expect(await figures(page).innerText()).toContain('8 tokens');
    });
  });

  it('shows calls of tools and passes their results on', async () => {
    const tools = JSON.stringify([{ type: 'function', function: { name: 'weather', parameters: {} } }]);
    const chunk = (delta: object, reason: string | null = null) =>
      `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: reason }] })}\n\n`;
    const call = (part: object) => chunk({ tool_calls: [{ index: 0, ...part }] });
    await withPage({ ...SHORT, tools }, async (page) => {
      await page.route(
        '**/v1/chat/completions',
        (route) =>
          route.fulfill({
            contentType: 'text/event-stream',
            body: [
              call({ id: 'call_1', type: 'function', function: { name: 'weather', arguments: '' } }),
              call({ function: { arguments: '{"city": "Os' } }),
              call({ function: { arguments: 'lo"}' } }),
              chunk({}, 'tool_calls'),
              'data: [DONE]\n\n',
            ].join(''),
          }),
        { times: 1 },
      );
      await page.locator('.dot.ready').waitFor();
      await composer(page).fill('Weather?');
      await composer(page).press('Enter');
      await expect.poll(() => page.locator('.tool-call pre').innerText()).toBe('{\n  "city": "Oslo"\n}');
      await page.getByRole('textbox', { name: 'Result' }).fill('12°');
      const sent = page.waitForRequest('**/v1/chat/completions');
      await page.getByRole('button', { name: 'Send result' }).click();
      const body = (await sent).postDataJSON();
      expect(body.tools).toEqual(JSON.parse(tools));
      expect(body.messages.slice(1)).toMatchObject([
        { role: 'assistant', tool_calls: [{ id: 'call_1', function: { name: 'weather' } }] },
        { role: 'tool', tool_call_id: 'call_1', content: '12°' },
      ]);
      await figures(page).waitFor();
    });
  });

  it('says in plain words what went wrong, and tries again', async () => {
    await withPage(
      SHORT,
      async (page) => {
        await page.locator('.dot.ready').waitFor();
        await page.route('**/v1/chat/completions', (route) => route.abort('connectionrefused'), { times: 1 });
        await composer(page).fill('Hello');
        await composer(page).press('Enter');
        await page.getByText('The server cannot be reached').waitFor();
        const error = { error: { message: 'all slots are busy', code: 'queue-full' } };
        await page.route(
          '**/v1/chat/completions',
          (route) => route.fulfill({ status: 503, headers: { 'retry-after': '2' }, json: error }),
          { times: 1 },
        );
        await page.getByRole('button', { name: 'Try again' }).click();
        await page.getByText('Try again in 2 s.').waitFor();
        await page.getByRole('button', { name: 'Try again' }).click();
        await figures(page).waitFor();
        expect(await answers(page).count()).toBe(1);
      },
      { expected: /Failed to load resource/ },
    );
  });

  it('asks for the key of a server that wants one', async () => {
    await withPage(
      {},
      async (page) => {
        await page.getByText('This server asks for an API key.').waitFor();
        await page.getByRole('textbox', { name: 'API key' }).last().fill(KEY);
        await page.getByRole('button', { name: 'Connect' }).click();
        await page.locator('.dot.ready').waitFor();
      },
      { expected: /401/ },
    );
  });

  it('has settings, which requests follow and which go back to the recommended ones', async () => {
    await withPage({ apiKey: KEY, maxTokens: 8 }, async (page) => {
      await page.locator('.dot.ready').waitFor();
      await page.getByRole('button', { name: 'Settings' }).click();
      const temperature = page.getByRole('spinbutton', { name: 'Temperature' });
      expect(await temperature.inputValue()).toBe('0.6');
      expect(await page.getByRole('slider', { name: 'Top-p' }).inputValue()).toBe('0.9');
      expect(await page.getByRole('slider', { name: 'Min-p' }).inputValue()).toBe('0.01');
      await temperature.fill('0.3');
      await temperature.blur();
      await page.getByRole('button', { name: 'Use the recommended one' }).click();
      await page.getByRole('radio', { name: 'Dark' }).check();
      await page.keyboard.press('Escape');
      const sent = page.waitForRequest('**/v1/chat/completions');
      await ask(page, 'Hello');
      const body = (await sent).postDataJSON();
      expect(body).toMatchObject({ temperature: 0.3, max_tokens: 8 });
      expect(body).not.toHaveProperty('top_p');
      expect(body.messages[0].content).toMatch(/^You are good company/);
      expect(await page.evaluate(() => getComputedStyle(document.documentElement).colorScheme)).toBe('dark');
      await page.getByRole('button', { name: 'Settings' }).click();
      await page.getByRole('button', { name: 'Back to recommended' }).click();
      expect(await temperature.inputValue()).toBe('0.6');
    });
  });

  it.each(['light', 'dark'] as const)('follows the system: %s', async (colorScheme) => {
    await withPage(
      SHORT,
      async (page) => {
        await page.locator('.dot.ready').waitFor();
        const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
        const [red] = background.match(/\d+/g)!.map(Number);
        expect(red! > 128).toBe(colorScheme === 'light');
      },
      { colorScheme },
    );
  });

  it('speaks Japanese, and leaves Enter to the conversion of Japanese input', async () => {
    await withPage(
      SHORT,
      async (page) => {
        await page.locator('.dot.ready').waitFor();
        expect(await page.getAttribute('html', 'lang')).toBe('ja');
        await page.getByRole('button', { name: '新しいチャット' }).waitFor();
        await composer(page).fill('こんにちは');
        await composer(page).dispatchEvent('keydown', { key: 'Enter', isComposing: true });
        expect(await answers(page).count()).toBe(0);
        await composer(page).press('Shift+Enter');
        expect(await composer(page).inputValue()).toBe('こんにちは\n');
        await composer(page).press('Enter');
        await figures(page).waitFor();
        expect(await figures(page).innerText()).toContain('8 トークン');
      },
      { locale: 'ja-JP' },
    );
  });

  it('fits a phone', async () => {
    const width = () => document.documentElement.scrollWidth - innerWidth;
    await withPage(
      SHORT,
      async (page) => {
        await ask(page, `A${'very'.repeat(60)}LongWord`);
        expect(await page.evaluate(width)).toBe(0);
        const sidebar = page.getByRole('navigation');
        expect(await sidebar.isVisible()).toBe(false);
        await page.getByRole('button', { name: 'Open the list' }).click();
        await sidebar.getByRole('button', { name: 'New chat' }).click();
        await page.getByRole('heading', { level: 1 }).waitFor();
        expect(await page.evaluate(width)).toBe(0);
        await page.getByRole('button', { name: 'Settings' }).click();
        const box = await page.locator('dialog.settings').boundingBox();
        expect(box!.x).toBeGreaterThanOrEqual(0);
        expect(box!.x + box!.width).toBeLessThanOrEqual(360);
      },
      { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true },
    );
  });
});
