// wllama, llama.cpp compiled to WebAssembly, in a headless Chromium: it needs what browsers have and Node does not.
import { spawn } from 'node:child_process';
import {
  createReadStream,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PACKAGE = fileURLToPath(new URL('node_modules/@wllama/wllama/', import.meta.url));
const BROWSERS = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
const LIMIT_MS = 10 * 60_000;

/**
 * Loads `file`, warms up and measures: tokens per second by wllama's own timers, seconds to load, the peak memory of
 * the largest of the browser's processes. `texts` are what it evaluates first and then
 * measured, as `{ warmUp, prompt }`. `allowed` are tokens of whole characters, the only ones it may generate: its
 * answers fail at parts of characters. Throws where it does not load.
 */
export async function measureWllama(
  file,
  { threads, contextSize, texts, allowed, new: newTokens, warmUpNew },
) {
  const order = { threads, contextSize, texts, allowed, newTokens, warmUpNew };
  const { version } = JSON.parse(readFileSync(join(PACKAGE, 'package.json'), 'utf8'));
  const profile = mkdtempSync(join(tmpdir(), 'cria-bench-chromium-'));
  let finish;
  const answer = new Promise((resolve, reject) => {
    finish = { resolve, reject };
  });
  const server = createServer((request, response) => serve(request, response, file, order, finish.resolve));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const browser = spawn(
    findBrowser(),
    [
      '--headless=new',
      '--no-sandbox',
      '--disable-gpu',
      `--user-data-dir=${profile}`,
      `http://127.0.0.1:${server.address().port}/`,
    ],
    { stdio: 'ignore' },
  );
  browser.once('error', finish.reject);
  browser.once('exit', () => finish.reject(new Error('the browser ended')));
  const timeout = setTimeout(() => finish.reject(new Error('no answer in time')), LIMIT_MS);
  try {
    const result = await answer;
    if (result.error) throw new Error(result.error);
    return { version: `wllama ${version}`, ...result, peakRss: largestProcess(profile) };
  } finally {
    clearTimeout(timeout);
    browser.removeAllListeners('exit');
    const ended = new Promise((resolve) => browser.once('exit', resolve));
    browser.kill();
    await ended;
    server.close();
    server.closeAllConnections();
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Runs in the page, with what `order` says in its place. */
const PAGE = `<!doctype html><title>wllama</title><script type="module">
import { Wllama } from '/package/esm/index.js';
const { threads, contextSize, texts, allowed, newTokens, warmUpNew } = ORDER;
const report = (result) => fetch('/result', { method: 'POST', body: JSON.stringify(result) });
try {
  const file = await (await fetch('/model.gguf')).blob();
  const wllama = new Wllama({ default: '/package/esm/wasm/wllama.wasm' }, { suppressNativeLog: true });
  const started = performance.now();
  const named = new File([file], 'model.gguf');
  await wllama.loadModel([named], {
    n_ctx: contextSize, n_batch: 512, n_threads: threads, n_gpu_layers: 0, n_parallel: 1, warmup: false,
  });
  const loadSeconds = (performance.now() - started) / 1000;
  const banned = new Set(Array.from({ length: wllama.getLoadedContextInfo().n_vocab }, (_, id) => id));
  for (const id of allowed) banned.delete(id);
  const logit_bias = Array.from(banned, (id) => [id, false]);
  const run = async (text, count) => {
    const options = { prompt: text, max_tokens: count, temperature: 0, logit_bias, cache_prompt: false };
    const { timings } = await wllama.createCompletion(options);
    return timings;
  };
  await run(texts.warmUp, warmUpNew);
  const timings = await run(texts.prompt, newTokens);
  await report({
    loadSeconds,
    prompt: timings.prompt_per_second,
    generation: timings.predicted_per_second,
    tokens: [timings.prompt_n, timings.predicted_n],
  });
} catch (error) {
  await report({ error: String(error?.message ?? error).split('\\n')[0] });
}
</script>`;

function serve(request, response, file, order, resolve) {
  // Shared memory, and so threads, needs these.
  response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
  response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
  const send = (path, type) => {
    response.writeHead(200, { 'Content-Type': type, 'Content-Length': statSync(path).size });
    createReadStream(path).pipe(response);
  };
  const { pathname } = new URL(request.url, 'http://127.0.0.1');
  if (pathname === '/') {
    response.setHeader('Content-Type', 'text/html');
    response.end(PAGE.replace('ORDER', () => JSON.stringify(order)));
  } else if (pathname === '/model.gguf') {
    send(file, 'application/octet-stream');
  } else if (pathname === '/package/esm/index.js') {
    send(join(PACKAGE, 'esm/index.js'), 'text/javascript');
  } else if (pathname === '/package/esm/wasm/wllama.wasm') {
    send(join(PACKAGE, 'esm/wasm/wllama.wasm'), 'application/wasm');
  } else if (pathname === '/result') {
    let body = '';
    request.on('data', (piece) => {
      body += piece;
    });
    request.on('end', () => {
      response.end();
      resolve(JSON.parse(body));
    });
  } else {
    response.writeHead(404).end();
  }
}

function findBrowser() {
  const folders = (process.env.PATH ?? '').split(':');
  const found = BROWSERS.flatMap((name) => folders.map((folder) => join(folder, name))).find(existsSync);
  if (found === undefined) throw new Error(`found no browser: expected one of ${BROWSERS.join(', ')}`);
  return found;
}

/** Peak resident bytes of the largest process of the browser with this profile; 0 where /proc does not say. */
function largestProcess(profile) {
  if (!existsSync('/proc')) return 0;
  const ids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const peaks = ids.map((id) => {
    try {
      const parent = /PPid:\s+(\d+)[\s\S]*VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${id}/status`, 'utf8'));
      const command = readFileSync(`/proc/${id}/cmdline`, 'utf8');
      const ours = command.includes(profile) || command.includes('--type=renderer');
      return parent && ours ? Number(parent[2]) * 1024 : 0;
    } catch {
      // It ended meanwhile.
      return 0;
    }
  });
  return Math.max(0, ...peaks);
}
