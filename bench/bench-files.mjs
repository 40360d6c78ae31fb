// The files that the benchmarks run on, made when they are needed: `MODEL:RECIPE`, such as `nano-scout:BF16`,
// `scout-slice:UD-IQ2_XXS` or `maverick-slice:UD-IQ1_S`.
import { existsSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findRecipe, openModel, quantizeModel, resolvePlan, shapeOf } from '../dist/index.js';
import { planSlice, SLICES, writeSlice } from './slices.mjs';

const NANO_SCOUT = fileURLToPath(new URL('../models/nano-scout', import.meta.url));

/**
 * A name of the list as `{ label, path, make }`: `make` writes the file unless it is there. Paths of existing files
 * have no `make`.
 */
export function benchFile(name, folder) {
  const [, model, recipe] = /^(nano-scout|scout-slice|maverick-slice):(.+)$/.exec(name) ?? [];
  if (model === undefined) {
    if (!existsSync(name)) throw new Error(`expected a file or MODEL:RECIPE, found '${name}'`);
    return { label: name, path: name };
  }
  const path = join(folder, `${model}-${recipe}.gguf`);
  const make = async () => {
    if (existsSync(path)) return;
    if (model in SLICES) {
      const slice = await planSlice(model, recipe);
      await checkSpace(path, slice.bytes);
      await writeSlice(path, slice);
    } else {
      await quantizeNanoScout(path, recipe);
    }
  };
  return { label: `${model} ${recipe}`, path, make };
}

async function quantizeNanoScout(path, name) {
  const recipe = findRecipe(name);
  const source = await openModel(NANO_SCOUT);
  try {
    const types = recipe.types(shapeOf(source), false);
    const { plan } = resolvePlan(source.tensors.values(), { types });
    await quantizeModel(source, path, { plan, fileType: recipe.fileType });
  } finally {
    await source.close();
  }
}

async function checkSpace(path, bytes) {
  const { bavail, bsize } = await statfs(dirname(path));
  const free = bavail * bsize;
  if (free < bytes * 1.05) {
    const gigabytes = (n) => `${(n / 1e9).toFixed(1)} GB`;
    throw new Error(
      `'${path}' needs ${gigabytes(bytes)}, but only ${gigabytes(free)} are free: choose --dir`,
    );
  }
}
