import { describe, expect, it } from 'vitest';
import { goldenJson, NANO_SCOUT } from '../../test/golden.js';
import { openModel } from '../convert/open-model.js';
import { DYNAMIC_RECIPES } from './dynamic-recipes.js';
import { shapeOf } from './model-shape.js';
import { PUBLISHED_HEADER_BYTES, publishedShape } from './published-models.js';
import { layoutOutput } from './quantize.js';
import { recipeSizes } from './recipe-sizes.js';
import { fileTypeOf, findRecipe, RECIPES } from './recipes.js';
import { resolvePlan, uniformPlan } from './type-plan.js';

const nanoScout = await openModel(NANO_SCOUT);
const shape = shapeOf(nanoScout);

describe('sizes of files that llama.cpp made', () => {
  // Its header lacks the 192 bytes of Cria's own keys, and has 192 of notes on the importance matrix.
  const rows: { name: string; bytes: number }[] = goldenJson('perplexity.json').rows;

  it.each(rows.map(({ name, bytes }) => [name, bytes] as const))('%s', (name, bytes) => {
    const pure = name.startsWith('pure-');
    const recipe = findRecipe(name.replace(/^(pure|recipe)-/, ''));
    const types = pure ? uniformPlan(shape.tensors, recipe.base) : recipe.types(shape, true);
    const { plan, fallbacks } = resolvePlan(shape.tensors, { types });
    const [file] = layoutOutput(nanoScout, 'x.gguf', { plan, fileType: recipe.fileType });
    expect(fallbacks).toEqual([]);
    expect(file!.bytes).toBe(bytes + (pure ? 128 : -64));
  });
});

describe('sizes of the published files', () => {
  // Tensor bytes found by matching the files, and the sizes listed in units of 1e9 bytes.
  const PUBLISHED = {
    scout: [
      ['UD-IQ1_S', 33_833_485_056, 33.8],
      ['UD-IQ1_M', 35_343_434_496, 35.4],
      ['UD-IQ2_XXS', 38_552_077_056, 38.6],
      ['UD-Q2_K_XL', 42_578_608_896, 42.2],
      ['UD-Q3_K_XL', 52_865_139_456, 52.9],
      ['UD-Q4_K_XL', 65_577_362_176, 65.6],
    ],
    maverick: [
      ['UD-IQ1_S', 122_650_493_696, 122],
      ['UD-IQ1_M', 127_935_316_736, 128],
      ['UD-IQ2_XXS', 139_511_595_776, 140],
      ['UD-Q2_K_XL', 151_129_817_856, 151],
      ['UD-Q3_K_XL', 192_275_940_096, 193],
      ['UD-Q4_K_XL', 242_736_898_816, 243],
    ],
  } as const;

  it.each(['scout', 'maverick'] as const)('%s', (model) => {
    const sizes = recipeSizes(DYNAMIC_RECIPES, publishedShape(model), (_, tensors) =>
      tensors.reduce((sum, { bytes }) => sum + bytes, 0),
    );
    expect(sizes.map(({ recipe, bytes }) => [recipe, bytes])).toEqual(
      PUBLISHED[model].map(([recipe, bytes]) => [recipe, bytes]),
    );
    sizes.forEach(({ bytes }, i) => {
      const listed = PUBLISHED[model][i]![2] * 1e9;
      expect(Math.abs(bytes + PUBLISHED_HEADER_BYTES - listed) / listed).toBeLessThan(0.01);
    });
  });
});

describe('dynamic recipes', () => {
  const typesOf = (recipe: string, tensor: string) => {
    const types = findRecipe(recipe).types(shape, true);
    return shape.tensors.filter(({ name }) => name.includes(tensor)).map(({ name }) => types.get(name));
  };

  it('map to the layers of a small model', () => {
    expect(typesOf('UD-IQ1_S', 'ffn_down_exps')).toEqual(['Q4_K', 'IQ2_XXS', 'Q3_K', 'Q3_K', 'Q3_K', 'Q3_K']);
    expect(typesOf('UD-IQ2_XXS', 'ffn_down_exps')).toEqual(['Q4_K', 'Q3_K', 'Q3_K', 'Q3_K', 'Q3_K', 'Q3_K']);
    expect(typesOf('UD-Q2_K_XL', 'ffn_up_shexp')).toEqual(new Array(6).fill('Q4_K'));
    expect(typesOf('UD-Q4_K_XL', 'token_embd')).toEqual(['Q5_K']);
  });

  it('keep the uncalibrated layers of Maverick at three and four bits', () => {
    const types = findRecipe('UD-IQ1_S').types(publishedShape('maverick'), true);
    const layersWith = (kind: string, type: string) =>
      [...types].flatMap(([name, found]) =>
        name.endsWith(`.${kind}.weight`) && found === type ? [Number(name.split('.')[1])] : [],
      );
    expect(layersWith('ffn_gate_exps', 'Q3_K')).toEqual([1, 3, 45]);
    expect(layersWith('ffn_down_exps', 'Q4_K')).toEqual([1, 3, 5, 45]);
    expect(layersWith('ffn_down_exps', 'IQ2_XXS')).toEqual([7, 9, 11]);
  });
});

describe('recipe names', () => {
  it('are found in any case and by alias', () => {
    expect(findRecipe('q4_k').name).toBe('Q4_K_M');
    expect(findRecipe('ud-iq1_s').name).toBe('UD-IQ1_S');
    expect(new Set(RECIPES.map(({ name }) => name)).size).toBe(RECIPES.length);
  });

  it('are listed when one is unknown', () => {
    expect(() => findRecipe('Q9')).toThrow(/unknown type or recipe 'Q9': expected one of UD-IQ1_S, /);
  });

  it('give a file without recipe the number of its commonest type', () => {
    const tensor = (type: 'Q3_K' | 'F32', n: number) => ({ name: type, type, shape: [256, n], bytes: 0 });
    expect(fileTypeOf([tensor('F32', 1), tensor('Q3_K', 9)])).toBe(12);
  });
});
