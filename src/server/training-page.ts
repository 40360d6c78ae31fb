import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { type Context, Hono } from 'hono';
import { CriaError } from '../base/errors.js';
import { html } from '../base/html.js';
import type { TrainingEvent, TrainingObserver } from '../train/events.js';
import type { TrainingHistory } from '../train/report/training-history.js';
import { TRAINING_STYLE } from '../train/report/training-style.js';
import { type TrainingLanguage, trainingTexts } from '../train/report/training-texts.js';
import { trainingView } from '../train/report/training-view.js';
import { eventStream } from './event-stream.js';
import { startHttpServer } from './http-server.js';
import { PAGE_HEADERS } from './web-page.js';

export interface TrainingPage {
  /** `http://127.0.0.1:8090` */
  readonly url: string;
  /** Tells open pages what happened, after the history was told. */
  readonly observer: TrainingObserver;
  /** Stops once open pages have everything, after two seconds at the latest. */
  close(): Promise<void>;
}

const HOST = '127.0.0.1';
const LAST_MILLISECONDS = 2000;
/** A page that is this many events behind gets the whole history instead. */
const MOST_PENDING = 10_000;

/**
 * Serves the live page of a run, to this machine only. A page that comes or returns gets the whole history first; port
 * 0 takes any free one. Throws `no-web-page` (unsupported), `port-unavailable` (resources).
 */
export async function openTrainingPage(options: {
  readonly port: number;
  readonly history: TrainingHistory;
}): Promise<TrainingPage> {
  const { history, port } = options;
  const readers = new Set<Reader>();
  const app = trainingApp(history, await readScript(), () => {
    const reader = new Reader(history);
    readers.add(reader);
    return reader.read(() => readers.delete(reader));
  });
  const server = await startHttpServer(app, { host: HOST, port });
  return {
    url: server.url,
    observer: (event) => {
      for (const reader of readers) reader.tell(event);
    },
    close: async () => {
      for (const reader of readers) reader.end();
      const late = setTimeout(() => void server.stop(), LAST_MILLISECONDS);
      await server.drain();
      clearTimeout(late);
    },
  };
}

/** What one page has not been sent yet. */
class Reader {
  readonly #history: TrainingHistory;
  #pending: TrainingEvent[] | 'everything' = 'everything';
  #ended = false;
  #wake = () => {};

  constructor(history: TrainingHistory) {
    this.#history = history;
  }

  tell(event: TrainingEvent): void {
    if (this.#pending !== 'everything') {
      this.#pending.push(event);
      if (this.#pending.length > MOST_PENDING) this.#pending = 'everything';
    }
    this.#wake();
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  /** Messages of server-sent events: `{history}` first, `{events}` then. */
  async *read(left: () => void): AsyncGenerator<string, void, void> {
    try {
      for (;;) {
        const pending = this.#pending;
        this.#pending = [];
        if (pending === 'everything') yield JSON.stringify({ history: this.#history });
        else if (pending.length > 0) yield JSON.stringify({ events: pending });
        else if (this.#ended) return;
        else {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
        }
      }
    } finally {
      left();
    }
  }
}

function trainingApp(
  history: TrainingHistory,
  script: string,
  read: () => AsyncGenerator<string, void, void>,
): Hono {
  const app = new Hono();
  app.use(async (c, next) => {
    // Other pages' scripts reach this machine under names of their own, whatever these stand for.
    const name = (c.req.header('host') ?? '').replace(/:\d+$/, '');
    if (name !== HOST && name !== 'localhost') return c.text(`expected http://${HOST}`, 403);
    await next();
    for (const [header, value] of Object.entries(PAGE_HEADERS)) c.header(header, value);
    c.header('x-content-type-options', 'nosniff');
    c.header('cache-control', 'no-store');
  });
  app.get('/', (c) => c.html(pageText(history, languageOf(c))));
  app.get('/style.css', (c) => c.body(TRAINING_STYLE, 200, { 'content-type': 'text/css; charset=utf-8' }));
  app.get('/page.js', (c) => c.body(script, 200, { 'content-type': 'text/javascript; charset=utf-8' }));
  app.get('/favicon.ico', (c) => c.body(null, 204));
  app.get('/events', () => {
    const headers = { 'content-type': 'text/event-stream; charset=utf-8' };
    return new Response(eventStream(read(), String), { headers });
  });
  return app;
}

function languageOf(c: Context): TrainingLanguage {
  const wanted = c.req.query('lang') ?? c.req.header('accept-language') ?? '';
  const [first] = /\b(ja|en)\b/i.exec(wanted) ?? ['en'];
  return first.toLowerCase() === 'ja' ? 'ja' : 'en';
}

function pageText(history: TrainingHistory, language: TrainingLanguage): string {
  const texts = trainingTexts(language);
  const parts = Object.entries(trainingView(history, texts)).map(
    ([id, part]) => html`<div id="${id}">${part}</div>
`,
  );
  return html`<!doctype html>
<html lang="${language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${texts('title')}</title>
<link rel="stylesheet" href="style.css">
<script type="module" src="page.js"></script>
</head>
<body>
<main>
<nav><a href="?lang=${language === 'ja' ? 'en' : 'ja'}">${texts('otherLanguage')}</a></nav>
<p id="lost" role="status" hidden>${texts('lost')}</p>
${parts}</main>
</body>
</html>
`.text;
}

async function readScript(): Promise<string> {
  try {
    const web = dirname(createRequire(import.meta.url).resolve('#web'));
    return await readFile(join(web, 'training', 'page.js'), 'utf8');
  } catch (cause) {
    const message = 'the web page was not built: npm run build, or train without it (--ui)';
    throw new CriaError('unsupported', 'no-web-page', message, { cause });
  }
}
