import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { tempFolder } from '../base/testing/temp-folder.js';
import type { TensorInfo } from '../formats/tensor-source.js';
import { checkPlanFits, readPlanFile } from './plan-file.js';

const TENSORS = new Map<string, TensorInfo>(
  [
    { name: 'output.weight', type: 'BF16' as const, shape: [256, 4], bytes: 2048 },
    { name: 'output_norm.weight', type: 'F32' as const, shape: [256], bytes: 1024 },
  ].map((info) => [info.name, info]),
);

async function read(content: string) {
  const path = join(await tempFolder(), 'plan.json');
  await writeFile(path, content);
  const plan = await readPlanFile(path);
  checkPlanFits(path, plan, TENSORS);
  return plan;
}

it('reads types and the file type, whatever else is there', async () => {
  const types = { 'output.weight': 'q4_k', 'output_norm.weight': 'F32' };
  expect(await read(JSON.stringify({ recipe: 'custom', bytes: 1, fileType: 15, types }))).toEqual({
    fileType: 15,
    types: new Map([
      ['output.weight', 'Q4_K'],
      ['output_norm.weight', 'F32'],
    ]),
  });
});

it.each([
  ['not JSON', /expected JSON/],
  ['[]', /expected an object "types"/],
  ['{"types":{"output.weight":"Q4_K","output.weight":"Q8_0"}}', /"output.weight" appears twice/],
  [
    '{"types":{"output.weight":"Q9_K"}}',
    /"output.weight": expected a tensor type such as Q4_K, found "Q9_K"/,
  ],
  ['{"types":{"output.weight":7}}', /expected a tensor type/],
  ['{"types":{"blk.9.x.weight":"Q4_K"}}', /the model has no tensor "blk.9.x.weight"/],
  ['{"types":{"output_norm.weight":"Q4_K"}}', /"output_norm.weight" is no weight matrix: it stays F32/],
  ['{"types":{},"fileType":-1}', /"fileType"/],
  ['{"types":[[[[[]]]]]}', /nested deeper/],
])('refuses %s', async (content, message) => {
  await expect(read(content)).rejects.toMatchObject({
    kind: 'bad-file',
    code: 'bad-plan',
    message: expect.stringMatching(message),
  });
});

it('says which file is missing', async () => {
  await expect(readPlanFile('/nowhere/plan.json')).rejects.toMatchObject({ code: 'no-such-file' });
});
