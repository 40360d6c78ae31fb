import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const examples = [...readFileSync(`${ROOT}/docs/library.md`, 'utf8').matchAll(/```ts\n(.*?)```/gs)].map(
  ([, code]) => code!,
);

describe('docs/library.md', () => {
  it('has examples', () => expect(examples.length).toBeGreaterThan(2));

  it.each(examples.map((code) => [code]))('runs as written: %s', async (code) => {
    // Within the package its own name resolves to it, so the examples run unchanged.
    const node = promisify(execFile)(process.execPath, ['--input-type=module', '-e', code], { cwd: ROOT });
    const { stdout, stderr } = await node;
    expect(stdout.length).toBeGreaterThan(5);
    expect(stderr).toBe('');
  });
});
