// Writes a GGUF file of random weights in Scout's or Maverick's real shapes. See bench/README.md.
import { parseArgs } from 'node:util';
import { planSlice, writeSlice } from './slices.mjs';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    recipe: { type: 'string', default: 'UD-IQ2_XXS' },
    layers: { type: 'string', default: '4' },
    seed: { type: 'string', default: '1' },
    output: { type: 'string', short: 'o' },
  },
});
if (positionals.length !== 1) {
  throw new Error(
    'usage: node make-slice.mjs scout-slice|maverick-slice [--recipe RECIPE] [--layers N] [--seed N] [-o FILE]',
  );
}
const slice = await planSlice(positionals[0], values.recipe, Number(values.layers));
const path = values.output ?? `${slice.name}.gguf`;
const started = performance.now();
await writeSlice(path, slice, Number(values.seed));
const seconds = (performance.now() - started) / 1000;
console.log(
  `${path}: ${(slice.bytes / 1e9).toFixed(2)} GB, ${(slice.bytes / 1e6 / seconds).toFixed(0)} MB/s to the disk`,
);
