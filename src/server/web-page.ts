import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, extname, join } from 'node:path';
import type { Context, Hono } from 'hono';
import { CriaError } from '../base/errors.js';

/** A page talks to its own server and runs its own files: whatever a model writes loads and runs nothing. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data: blob:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** Headers of everything that a page is made of. */
export const PAGE_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': CONTENT_SECURITY_POLICY,
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
};

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

interface PageFile {
  readonly path: string;
  readonly body: Uint8Array<ArrayBuffer>;
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * Reads the page into memory; the result adds its routes to an app. `folder` is by default where the build puts it.
 * Throws `no-web-page` (unsupported).
 */
export async function loadWebPage(folder?: string): Promise<(app: Hono) => void> {
  try {
    folder ??= dirname(createRequire(import.meta.url).resolve('#web'));
    return await readPage(folder);
  } catch (cause) {
    const message = 'the web page was not built: npm run build, or serve without it (--no-webui)';
    throw new CriaError('unsupported', 'no-web-page', message, { cause });
  }
}

async function readPage(folder: string): Promise<(app: Hono) => void> {
  const names = await readdir(join(folder, 'assets'));
  const files = await Promise.all([
    readPageFile(folder, 'index.html', '/'),
    ...names.filter((name) => extname(name) in TYPES).map((name) => readPageFile(folder, `assets/${name}`)),
  ]);
  return (app) => {
    for (const file of files) app.get(file.path, (c) => respond(c, file));
  };
}

async function readPageFile(folder: string, name: string, path = `/${name}`): Promise<PageFile> {
  const body = new Uint8Array(await readFile(join(folder, name)));
  const hashed = path !== '/';
  return {
    path,
    body,
    headers: {
      'content-type': TYPES[extname(name)]!,
      // The names of assets change with their content; the page that names them must be asked for each time.
      'cache-control': hashed ? 'public, max-age=31536000, immutable' : 'no-cache',
      etag: `"${createHash('sha256').update(body).digest('base64url').slice(0, 27)}"`,
      ...PAGE_HEADERS,
    },
  };
}

function respond(c: Context, { body, headers }: PageFile): Response {
  const known = c.req.header('if-none-match')?.split(/\s*,\s*/) ?? [];
  const unchanged = known.some((tag) => tag === '*' || tag.replace(/^W\//, '') === headers.etag);
  return unchanged ? new Response(null, { status: 304, headers }) : new Response(body, { headers });
}
