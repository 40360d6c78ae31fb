import { formatBytes } from '../../base/byte-size.js';
import { CriaError } from '../../base/errors.js';
import { openModel } from '../../convert/open-model.js';
import { DYNAMIC_RECIPES } from '../../dynamic/dynamic-recipes.js';
import { shapeOf } from '../../dynamic/model-shape.js';
import { planTable } from '../../dynamic/plan-summary.js';
import { PUBLISHED_HEADER_BYTES, publishedShape } from '../../dynamic/published-models.js';
import { layoutOutput } from '../../dynamic/quantize.js';
import type { Recipe } from '../../dynamic/recipe.js';
import { type RecipeSize, recipeSizes } from '../../dynamic/recipe-sizes.js';
import { RECIPES } from '../../dynamic/recipes.js';
import { modelPath } from '../model-argument.js';
import { text, toggle } from '../options.js';
import { defineVerb } from '../verb.js';

export const recipes = defineVerb({
  name: 'recipes',
  summary: 'Show what each quantization recipe makes of a model',
  details:
    'Types and exact file sizes follow from the shapes of the weights, so no weights are needed. An entry of the JSON array can be passed to cria quantize --plan.',
  positionals: [],
  examples: ['cria recipes --model scout', 'cria recipes --model maverick --all --json'],
  options: {
    model: text(['--model'], 'scout|maverick|PATH', {
      help: 'a published model, a checkpoint folder or a GGUF file; required',
    }),
    all: toggle(['--all'], { help: "llama.cpp's mixes, too" }),
    json: toggle(['--json'], { help: 'print a JSON array' }),
  },
  run: async (terminal, { values: { model, all, json } }) => {
    if (model === undefined) {
      throw new CriaError(
        'usage',
        'missing-argument',
        'missing model: expected --model scout, --model maverick or --model PATH',
      );
    }
    const sizes = await sizesFor(model, all ? RECIPES : DYNAMIC_RECIPES);
    terminal.stdout.write(
      json ? `${JSON.stringify(sizes.map(toJson), null, 1)}\n` : sizes.map(render).join('\n'),
    );
  },
});

async function sizesFor(model: string, wanted: readonly Recipe[]): Promise<RecipeSize[]> {
  if (model === 'scout' || model === 'maverick') {
    return recipeSizes(wanted, publishedShape(model), (_, tensors) =>
      tensors.reduce((sum, { bytes }) => sum + bytes, PUBLISHED_HEADER_BYTES),
    );
  }
  const source = await openModel(await modelPath(model));
  try {
    return recipeSizes(wanted, shapeOf(source), (plan, _, { fileType }) =>
      layoutOutput(source, 'OUTPUT.gguf', { plan, fileType }).reduce((sum, { bytes }) => sum + bytes, 0),
    );
  } finally {
    await source.close();
  }
}

function toJson({ recipe, bytes, bitsPerWeight, plan }: RecipeSize): object {
  return { recipe, bytes, bitsPerWeight, types: Object.fromEntries(plan) };
}

function render({ recipe, bytes, bitsPerWeight, tensors }: RecipeSize): string {
  const total = `${recipe}: ${formatBytes(bytes)} (${bytes} bytes), ${bitsPerWeight.toFixed(2)} bits per weight`;
  return [total, ...planTable(tensors).map((line) => `  ${line}`), ''].join('\n');
}
