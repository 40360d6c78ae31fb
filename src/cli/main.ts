#!/usr/bin/env node
import { readFile } from 'node:fs/promises';
import { CriaError } from '../base/errors.js';
import { didYouMean } from '../base/suggest.js';
import { fail } from './failure.js';
import { twoColumns } from './options.js';
import { processTerminal } from './terminal.js';
import { runVerb, type Terminal, type Verb } from './verb.js';
import { VERBS } from './verbs/index.js';

async function main(terminal: Terminal, args: readonly string[]): Promise<void> {
  const [first] = args;
  if (first === undefined) {
    throw new CriaError('usage', 'missing-verb', "missing verb: try 'cria --help'");
  }
  if (first === '--version' || first === '-V' || first === 'version') {
    terminal.stdout.write(`cria ${await version()}\n`);
  } else if (first === '--help' || first === '-h' || (first === 'help' && args.length === 1)) {
    terminal.stdout.write(overview());
  } else if (first === 'help') {
    const { verb } = await findVerb(args.slice(1));
    await runVerb(verb, terminal, ['--help']);
  } else {
    const { verb, rest } = await findVerb(args);
    await runVerb(verb, terminal, rest);
  }
}

/** The verb that `args` begin with; a verb may be two words (`evaluate perplexity`). */
async function findVerb(args: readonly string[]): Promise<{ verb: Verb; rest: readonly string[] }> {
  const names = Object.keys(VERBS);
  for (const words of [2, 1]) {
    const name = args.slice(0, words).join(' ');
    const entry = VERBS[name];
    if (entry) return { verb: await entry.load(), rest: args.slice(words) };
  }
  const [first = '', second] = args;
  const family = names.filter((name) => name.startsWith(`${first} `));
  if (family.length > 0) {
    const found = second === undefined ? 'nothing' : `'${second}'`;
    const known = family.map((name) => `'cria ${name}'`).join(', ');
    throw new CriaError(
      'usage',
      'unknown-verb',
      `'${first}' needs a second word, found ${found}: expected ${known}`,
    );
  }
  const hint = didYouMean(first, names) || "; 'cria --help' lists them";
  throw new CriaError('usage', 'unknown-verb', `unknown verb '${first}'${hint}`);
}

function overview(): string {
  const verbs = Object.entries(VERBS).map(([name, { summary }]) => twoColumns(`  ${name}`, summary));
  return `Llama 4 from the Hub to a model cut to fit your machine

Usage: cria VERB [arguments] [options]

${verbs.join('\n')}

  cria VERB --help shows the options of a verb; cria --version the version.
`;
}

async function version(): Promise<string> {
  const manifest = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8'));
  return manifest.version;
}

const terminal = processTerminal();
try {
  await main(terminal, process.argv.slice(2));
} catch (error) {
  process.exitCode = fail(error, process.stderr, process.env.CRIA_DEBUG === '1');
}
// Worker threads or open handles of unfinished work must not keep a finished program alive.
terminal.flushAndExit();
