#!/usr/bin/env node
// How fast `cria pull` is beside curl, on the loopback interface and the same file, and what its check costs.
//
//   npm run build && node bench/pull.mjs [--size 1GB] [--rounds 5] [--folder /tmp]
//
// The server runs in a process of its own. curl writes the file and is done; cria pull fetches the file list, follows
// a redirect, fetches the parts, hashes them, flushes the file to the disk and puts it into the cache. The rounds
// alternate, so that a busy machine hurts both alike.
import { execFileSync, fork } from 'node:child_process';
import { createHash, randomFillSync } from 'node:crypto';
import {
  closeSync,
  createReadStream,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { parseByteSize } from '../dist/base/byte-size.js';

const COMMIT = '0123456789abcdef0123456789abcdef01234567';

if (process.argv[2] === '--serve') serve(process.argv[3], process.argv[4]);
else compare();

function serve(file, oid) {
  const { size } = statSync(file);
  const json = (response, value) => response.end(JSON.stringify(value));
  const server = createServer((request, response) => {
    if (request.url.startsWith('/api/models/bench/model/revision/')) {
      json(response, { _id: '1', id: 'bench/model', sha: COMMIT, lastModified: 0 });
    } else if (request.url.startsWith('/api/models/bench/model/tree/')) {
      json(response, [
        { type: 'file', path: 'm-Q4_K_M.gguf', size, oid, lfs: { oid, size, pointerSize: 1 } },
      ]);
    } else if (request.url.startsWith('/bench/model/resolve/')) {
      response.writeHead(302, { location: '/content' }).end();
    } else {
      const [, start = 0, end = size - 1] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
      const length = end - start + 1;
      const range = request.headers.range ? { 'content-range': `bytes ${start}-${end}/${size}` } : {};
      response.writeHead(request.headers.range ? 206 : 200, { 'content-length': length, ...range });
      createReadStream(file, { start: Number(start), end: Number(end), highWaterMark: 1 << 20 }).pipe(
        response,
      );
    }
  });
  server.listen(0, '127.0.0.1', () => process.send(`http://127.0.0.1:${server.address().port}`));
}

async function compare() {
  const { values } = parseArgs({
    options: {
      size: { type: 'string', default: '1GB' },
      rounds: { type: 'string', default: '5' },
      folder: { type: 'string', default: tmpdir() },
    },
  });
  const size = parseByteSize(values.size);
  const folder = mkdtempSync(join(values.folder, 'cria-bench-pull-'));
  const file = join(folder, 'source.bin');
  const server = fork(process.argv[1], ['--serve', file, writeRandom(file, size)], { execArgv: [] });
  try {
    const endpoint = await new Promise((resolve) => server.once('message', resolve));
    const cria = new URL('../dist/cli/main.js', import.meta.url).pathname;
    const env = { ...process.env, HF_ENDPOINT: endpoint, HF_HOME: join(folder, 'home'), LLAMA_CACHE: '' };
    const contenders = {
      'curl -o FILE': (out) => execFileSync('curl', ['-s', '-o', join(out, 'm'), `${endpoint}/content`]),
      'cria pull': (out) =>
        execFileSync(process.execPath, [cria, 'pull', 'bench/model', '-q', '--cache-dir', out], {
          env,
          stdio: 'pipe',
        }),
      'curl -o FILE, sha256sum FILE': (out) => {
        execFileSync('curl', ['-s', '-o', join(out, 'm'), `${endpoint}/content`]);
        execFileSync('sha256sum', [join(out, 'm')]);
      },
    };
    const rates = Object.fromEntries(Object.keys(contenders).map((name) => [name, []]));
    for (let round = 0; round < Number(values.rounds); round++) {
      for (const [name, run] of Object.entries(contenders)) {
        const out = join(folder, 'out');
        mkdirSync(out);
        execFileSync('sync');
        const started = performance.now();
        run(out);
        rates[name].push(size / 1e3 / (performance.now() - started));
        rmSync(out, { recursive: true });
      }
    }
    const median = (list) => list.sort((a, b) => a - b)[list.length >> 1];
    const curl = median(rates['curl -o FILE']);
    for (const [name, list] of Object.entries(rates)) {
      const rate = median(list);
      const spread = `${list[0].toFixed(0)} to ${list.at(-1).toFixed(0)}`;
      console.log(
        `${name.padEnd(30)} ${rate.toFixed(0)} MB/s (${spread}), ${(rate / curl).toFixed(2)} of curl`,
      );
    }
  } finally {
    server.kill();
    rmSync(folder, { recursive: true });
  }
}

/** Writes a file and returns its SHA-256. */
function writeRandom(path, size) {
  const handle = openSync(path, 'w');
  const hash = createHash('sha256');
  const block = Buffer.alloc(1 << 20);
  for (let left = size; left > 0; left -= block.length) {
    const part = randomFillSync(block).subarray(0, left);
    hash.update(part);
    writeSync(handle, part);
  }
  closeSync(handle);
  return hash.digest('hex');
}
