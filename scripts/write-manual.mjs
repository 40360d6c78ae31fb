// Writes dist/cria.1, the manual page, from the tables that the command line itself is made of.
import { readFile, writeFile } from 'node:fs/promises';
import { manualPage } from '../dist/cli/manual.js';
import { VERBS } from '../dist/cli/verbs/index.js';

const { version } = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8'));
const verbs = await Promise.all(Object.values(VERBS).map(({ load }) => load()));
await writeFile(new URL('../dist/cria.1', import.meta.url), manualPage(verbs, version));
