// The memory that `cria plan` predicts beside the peak of a process that fills its context: one JSON line per file.
//   node bench/plan-memory.mjs [-c 2048] [-t 2] [-ctk f16] FILE...
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { configFromMetadata } from '../dist/convert/llama4-config.js';
import { openModel } from '../dist/convert/open-model.js';
import { loadModel } from '../dist/generate/load-model.js';
import { criaMemory } from '../dist/plan/index.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    context: { type: 'string', short: 'c', default: '2048' },
    threads: { type: 'string', short: 't', default: '2' },
    cache: { type: 'string', default: 'f16' },
    repack: { type: 'string', default: 'lean' },
    child: { type: 'boolean', default: false },
  },
});
const options = {
  threads: Number(values.threads),
  contextSize: Number(values.context),
  batchSize: Math.min(512, Number(values.context)),
  repack: values.repack,
};

if (values.child) {
  const model = await loadModel(positionals[0], { ...options, kvType: values.cache });
  const ids = Array.from({ length: options.contextSize - 8 }, (_, i) => 300 + (i % 1000));
  await model.evaluate(ids, 0, 'last');
  for (let i = 0; i < 8; i++) await model.evaluate([300], ids.length + i, 'last');
  console.log(Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) * 1024);
  await model.close();
} else {
  for (const file of positionals) {
    const source = await openModel(file);
    const config = configFromMetadata(source.metadata, source.tensors);
    const predicted = criaMemory(config, source.tensors, { ...options, cacheType: values.cache });
    await source.close();
    const self = fileURLToPath(import.meta.url);
    const run = spawnSync(
      process.execPath,
      [
        self,
        '--child',
        '-c',
        values.context,
        '-t',
        values.threads,
        '--cache',
        values.cache,
        '--repack',
        values.repack,
        file,
      ],
      {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    const measured = Number(run.stdout.trim());
    const context = options.contextSize;
    console.log(
      JSON.stringify({ file, context, predicted, measured, error: (predicted - measured) / measured }),
    );
  }
}
