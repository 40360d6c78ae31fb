import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Hono } from 'hono';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadWebPage } from './web-page.js';

describe('the files of the web page', () => {
  const folder = mkdtempSync(join(tmpdir(), 'cria-page-'));
  const app = new Hono();
  beforeAll(async () => {
    mkdirSync(join(folder, 'assets'));
    writeFileSync(join(folder, 'index.html'), '<!doctype html>');
    writeFileSync(join(folder, 'assets', 'index-abc.js'), 'run()');
    writeFileSync(join(folder, 'assets', 'notes.txt'), 'not part of the page');
    (await loadWebPage(folder))(app);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it('serves the page under a strict policy, to be asked for each time', async () => {
    const response = await app.request('/');
    expect(response.status).toBe(200);
    expect(await response.text()).toBe('<!doctype html>');
    expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(response.headers.get('cache-control')).toBe('no-cache');
    const policy = response.headers.get('content-security-policy');
    expect(policy).toContain("default-src 'none'; script-src 'self'; style-src 'self'");
    expect(policy).not.toContain('unsafe');
  });

  it('serves assets that browsers may keep, and only those', async () => {
    const response = await app.request('/assets/index-abc.js');
    expect(response.headers.get('content-type')).toBe('text/javascript; charset=utf-8');
    expect(response.headers.get('cache-control')).toContain('immutable');
    for (const path of [
      '/assets/notes.txt',
      '/assets/',
      '/assets/../index.html',
      '/assets/%2e%2e/index.html',
    ]) {
      expect((await app.request(path)).status, path).toBe(404);
    }
  });

  it('answers 304 to a page that is known', async () => {
    const etag = (await app.request('/')).headers.get('etag')!;
    for (const known of [etag, `W/${etag}`, `"other", ${etag}`]) {
      const response = await app.request('/', { headers: { 'if-none-match': known } });
      expect([response.status, await response.text()]).toEqual([304, '']);
    }
    expect((await app.request('/', { headers: { 'if-none-match': '"other"' } })).status).toBe(200);
  });

  it('says how to go on without a page', async () => {
    await expect(loadWebPage(join(folder, 'missing'))).rejects.toThrow(/--no-webui/);
  });
});
