// Prints nothing; writes Cria's logits for token ids: node checkpoint-logits.mjs MODEL IDS.json OUT.f32
import { readFileSync, writeFileSync } from 'node:fs';
import { openModel } from '../../dist/convert/open-model.js';
import { Llama4Runtime } from '../../dist/model/llama4-runtime.js';

const [model, idsFile, out] = process.argv.slice(2);
const ids = JSON.parse(readFileSync(idsFile, 'utf8'));
const source = await openModel(model);
const runtime = await Llama4Runtime.load(source, { threads: 1, contextSize: ids.length, repack: 'off' });
const logits = await runtime.evaluate(ids, 0, [...ids.keys()]);
writeFileSync(out, logits);
await runtime.close();
await source.close();
