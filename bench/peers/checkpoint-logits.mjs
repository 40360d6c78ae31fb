// Prints nothing; writes Cria's logits for token ids: node checkpoint-logits.mjs MODEL IDS.json OUT.f32 [ADAPTER…]
import { readFileSync, writeFileSync } from 'node:fs';
import { openAdaptersFor } from '../../dist/convert/lora/open-adapter.js';
import { openModel } from '../../dist/convert/open-model.js';
import { Llama4Runtime } from '../../dist/model/llama4-runtime.js';

const [model, idsFile, out, ...adapterPaths] = process.argv.slice(2);
const ids = JSON.parse(readFileSync(idsFile, 'utf8'));
const source = await openModel(model);
const files = adapterPaths.map((path) => ({ path }));
const adapters = await openAdaptersFor(source, files, console.error);
const runtime = await Llama4Runtime.load(source, {
  threads: 1,
  contextSize: ids.length,
  repack: 'off',
  cacheType: 'f32',
  adapters,
});
const logits = await runtime.evaluate(ids, 0, [...ids.keys()]);
writeFileSync(out, logits);
await runtime.close();
await source.close();
