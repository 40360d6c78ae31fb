import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { completionScript } from './completion.js';
import { manualPage } from './manual.js';
import { VERBS } from './verbs/index.js';

const verbs = await Promise.all(Object.values(VERBS).map(({ load }) => load()));

/** What bash offers after `words`, of which the last is being typed. */
async function completed(...words: string[]): Promise<string[]> {
  const script = `${completionScript('bash', verbs)}
COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}; _cria; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout } = await promisify(execFile)('bash', ['-c', script]);
  return stdout.split('\n').filter(Boolean);
}

describe('completion in bash', () => {
  it('offers verbs, and the second words of families', async () => {
    expect(await completed('cria', 'conv')).toEqual(['convert']);
    expect(await completed('cria', 'evaluate', 'p')).toEqual(['perplexity']);
  });

  it('offers the flags of the verb', async () => {
    expect(await completed('cria', 'run', '--cache-type')).toEqual(['--cache-type-k', '--cache-type-v']);
    expect(await completed('cria', 'split', '--cache')).toEqual([]);
  });

  it('offers the values of a choice', async () => {
    expect(await completed('cria', 'run', '-ctk', 'f1')).toEqual(['f16']);
  });
});

describe('completion in fish', () => {
  it('has every flag of every verb', () => {
    const script = completionScript('fish', verbs);
    for (const { options } of verbs) {
      for (const flag of Object.values(options).flatMap(({ flags }) => flags)) {
        expect(script).toContain(flag.startsWith('--') ? `-l ${flag.slice(2)} ` : ` ${flag.slice(1)}`);
      }
    }
  });

  it('quotes help texts', () => {
    expect(completionScript('fish', verbs)).toContain("-d 'use the model\\'s own template (always so)'");
  });
});

describe('the manual page', () => {
  const page = manualPage(verbs, '1.0.0');

  it('has every verb and option', () => {
    for (const { name, options } of verbs) {
      expect(page).toContain(`cria ${name}`.replaceAll('-', '\\-'));
      for (const { flags } of Object.values(options)) {
        expect(page).toContain(`\\fB${flags[0]!.replaceAll('-', '\\-')}\\fR`);
      }
    }
  });

  it('has no requests but the ones it means', () => {
    const requests = page.match(/^[.'].*/gm)!.map((line) => line.split(' ')[0]);
    expect(new Set(requests)).toEqual(new Set(['.TH', '.SH', '.SS', '.TP', '.B', '.I', '.PP', '.EX', '.EE']));
  });
});
