// Load and faults for `cria serve`: many streaming clients at once, each compared with its answer alone; memory;
// speed of several streams against one; malformed requests.
//   node bench/server-load.mjs [MODEL] [--clients 200] [--seconds 120] [--slots 8] [--malformed 10000] [-t 2]
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    clients: { type: 'string', default: '200' },
    seconds: { type: 'string', default: '120' },
    slots: { type: 'string', default: '8' },
    malformed: { type: 'string', default: '10000' },
    threads: { type: 'string', short: 't', default: '2' },
  },
});
const model = positionals[0] ?? fileURLToPath(new URL('../models/nano-scout', import.meta.url));
const clients = Number(values.clients);
/** Different questions; each has one answer, as its seed is its own. */
const QUESTIONS = 40;
const TOKENS = 60;

const cria = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const server = spawn(
  process.execPath,
  [
    cria,
    'serve',
    model,
    '--port',
    '0',
    '--no-webui',
    '-np',
    values.slots,
    '-c',
    '1024',
    '-t',
    values.threads,
    '--queue',
    '100',
  ],
  { stdio: ['ignore', 'ignore', 'pipe'] },
);
let log = '';
const url = await new Promise((resolve, reject) => {
  server.stderr.setEncoding('utf8').on('data', (text) => {
    log += text;
    const found = /(http:\S+) answers/.exec(log)?.[1];
    if (found) resolve(found);
  });
  server.on('exit', () => reject(new Error(log)));
});
const memory = () => {
  const status = readFileSync(`/proc/${server.pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)[1]) / 1024;
};

const question = (i) => ({
  messages: [
    {
      role: 'user',
      content: `${'Please tell me about the sky and the sea. '.repeat(1 + (i % 5) * 3)}Part ${i}?`,
    },
  ],
  max_tokens: TOKENS,
  temperature: 1,
  seed: i,
  ignore_eos: true,
  stream: true,
});

/** The text of a streamed answer, or the status it was refused with. */
async function ask(body) {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (!response.ok) {
    await response.arrayBuffer();
    return { status: response.status, retryAfter: response.headers.get('retry-after') };
  }
  let text = '';
  let pending = '';
  let tokens = 0;
  let done = false;
  const decoder = new TextDecoder();
  for await (const bytes of response.body) {
    pending += decoder.decode(bytes, { stream: true });
    const events = pending.split('\n\n');
    pending = events.pop();
    for (const event of events) {
      if (!event.startsWith('data: ')) continue;
      const data = event.slice(6);
      if (data === '[DONE]') {
        done = true;
        continue;
      }
      const chunk = JSON.parse(data);
      if (chunk.error) return { status: 'error in stream', text };
      text += chunk.choices[0]?.delta.content ?? '';
      if (chunk.choices[0]?.delta.content) tokens++;
    }
  }
  return { status: done ? 200 : 'cut off', text, tokens };
}

const expected = [];
for (let i = 0; i < QUESTIONS; i++) expected.push((await ask(question(i))).text);

// Generation alone: one stream, then several, of the same length.
const long = { ...question(0), max_tokens: 400 };
await ask(long);
const rate = async (streams) => {
  const start = performance.now();
  await Promise.all(Array.from({ length: streams }, (_, i) => ask({ ...long, seed: i })));
  return (streams * long.max_tokens * 1000) / (performance.now() - start);
};
const single = await rate(1);
const eight = await rate(8);
console.log(
  JSON.stringify({ what: 'streams', slots: Number(values.slots), one: single, eight, ratio: eight / single }),
);

const counts = { answered: 0, refused: 0, wrong: 0, failed: 0 };
const problems = [];
const memories = [];
const end = performance.now() + Number(values.seconds) * 1000;
const watch = setInterval(() => memories.push(Math.round(memory())), 5000);
await Promise.all(
  Array.from({ length: clients }, async (_, client) => {
    for (let turn = 0; performance.now() < end; turn++) {
      const i = (client * 7 + turn * 13) % QUESTIONS;
      const answer = await ask(question(i)).catch((error) => ({ status: String(error.cause ?? error) }));
      if (answer.status === 503) {
        counts.refused++;
        await new Promise((resolve) => setTimeout(resolve, 1000 * Number(answer.retryAfter)));
      } else if (answer.status !== 200) {
        counts.failed++;
        problems.push(answer.status);
      } else if (answer.text !== expected[i]) {
        counts.wrong++;
        problems.push({ question: i, found: answer.text, expected: expected[i] });
      } else counts.answered++;
    }
  }),
);
clearInterval(watch);
console.log(
  JSON.stringify({
    what: 'load',
    clients,
    seconds: Number(values.seconds),
    ...counts,
    rssMiB: memories,
    problems: problems.slice(0, 3),
  }),
);

/** Requests that are wrong in some way, raw; `statuses` that are right for them. */
function malformed(random) {
  const pick = (list) => list[Math.floor(random() * list.length)];
  const post = (path, body, headers = '') =>
    Buffer.concat([
      Buffer.from(
        `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n${headers}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n`,
      ),
      Buffer.from(body),
    ]);
  const valid = JSON.stringify({ messages: [{ role: 'user', content: 'x' }], max_tokens: 1 });
  const cut = valid.slice(0, Math.floor(random() * valid.length));
  const noise = Buffer.from(
    Array.from({ length: 1 + Math.floor(random() * 200) }, () => Math.floor(random() * 256)),
  );
  const value = pick([
    'null',
    '1e999',
    '-1',
    '"x"',
    '[]',
    '{}',
    '[[[]]]',
    'true',
    '1e308',
    '"\\ud800"',
    '0.5',
  ]);
  const key = pick([
    'messages',
    'temperature',
    'max_tokens',
    'stop',
    'n',
    'logit_bias',
    'tools',
    'response_format',
    'seed',
    'top_p',
    'grammar',
  ]);
  return pick([
    () => ({ bytes: post('/v1/chat/completions', cut), statuses: [400] }),
    () => ({ bytes: post('/v1/chat/completions', noise), statuses: [400] }),
    () => ({
      bytes: post(
        '/v1/chat/completions',
        `{"messages":[{"role":"user","content":"x"}],"max_tokens":1,"${key}":${value}}`,
      ),
      statuses: [200, 400],
    }),
    () => ({ bytes: post('/v1/completions', `{"prompt":${value},"max_tokens":1}`), statuses: [200, 400] }),
    () => ({ bytes: post('/v1/chat/completions', `${'['.repeat(20000)}`), statuses: [400] }),
    () => ({ bytes: post('/tokenize', `{"content":"${'a'.repeat(100000)}"}`), statuses: [200] }),
    () => ({ bytes: post('/detokenize', `{"tokens":[${value}]}`), statuses: [200, 400] }),
    () => ({
      bytes: Buffer.from(
        `GET ${pick(['/../../etc/passwd', '/%2e%2e/%2e%2e/etc/passwd', '/..%5c..%5cx', '//etc/passwd', '/\0', '/%00', `/${'a'.repeat(9000)}`])} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
      ),
      statuses: [400, 404],
    }),
    () => ({
      bytes: Buffer.from(
        `${pick(['BREW', 'PUT', 'DELETE', 'TRACE'])} /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
      ),
      statuses: [400, 404, 405],
    }),
    () => ({
      bytes: post('/v1/chat/completions', valid, `X-Long: ${'y'.repeat(20000)}\r\n`),
      statuses: [431],
    }),
    () => ({ bytes: Buffer.concat([noise, Buffer.from('\r\n\r\n')]), statuses: [400] }),
    () => ({
      bytes: Buffer.from(
        'POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\nConnection: close\r\n\r\n{',
      ),
      statuses: [413],
    }),
  ])();
}

/** Status of the answer to raw bytes; 0 when the connection was closed without one. */
function send(bytes) {
  return new Promise((resolve) => {
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname, () => socket.write(bytes));
    let answer = '';
    const timer = setTimeout(() => socket.destroy(new Error('timeout')), 20_000);
    socket.on('data', (data) => {
      answer += data.toString('latin1');
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      clearTimeout(timer);
      resolve(Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0));
    });
  });
}

let state = 12345;
const random = () => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 2 ** 32;
};
const statuses = {};
let unexpected = 0;
const total = Number(values.malformed);
for (let sent = 0; sent < total; sent += 50) {
  const requests = Array.from({ length: Math.min(50, total - sent) }, () => malformed(random));
  const answers = await Promise.all(requests.map(({ bytes }) => send(bytes)));
  for (const [i, status] of answers.entries()) {
    statuses[status] = (statuses[status] ?? 0) + 1;
    if (!requests[i].statuses.includes(status)) {
      unexpected++;
      if (unexpected <= 5)
        console.log(
          JSON.stringify({
            unexpected: status,
            wanted: requests[i].statuses,
            request: requests[i].bytes.toString('latin1').slice(0, 200),
          }),
        );
    }
  }
}
const alive = (await ask(question(3))).text === expected[3];
console.log(
  JSON.stringify({
    what: 'malformed',
    requests: total,
    statuses,
    unexpected,
    alive,
    rssMiB: Math.round(memory()),
  }),
);
server.kill('SIGTERM');
console.log(
  JSON.stringify({
    what: 'end',
    exitCode: await new Promise((resolve) => server.on('exit', resolve)),
    log: log.split('\n').slice(1, 8),
  }),
);
