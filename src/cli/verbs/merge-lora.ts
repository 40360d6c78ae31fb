import { CriaError } from '../../base/errors.js';
import { convertSource } from '../../convert/convert.js';
import type { ScaledAdapter } from '../../convert/lora/adapter.js';
import { checkAdapter } from '../../convert/lora/check-adapter.js';
import { mergedSource } from '../../convert/lora/merged-source.js';
import { openAdapter } from '../../convert/lora/open-adapter.js';
import { openModel } from '../../convert/open-model.js';
import { exportCheckpoint } from '../../convert/to-safetensors.js';
import { LORA } from '../lora-options.js';
import { resolveModel } from '../model-argument.js';
import { byteSize, choice, text } from '../options.js';
import { MODEL } from '../shared-options.js';
import { defineVerb } from '../verb.js';
import { withProgress } from '../work-progress.js';

export const mergeLora = defineVerb({
  name: 'merge-lora',
  summary: 'Write a model with LoRA adapters merged into its weights',
  details:
    'The output is a GGUF file where its name ends in .gguf, otherwise a checkpoint folder of the text model. Weights that were quantized and that an adapter changes become 16-bit; quantize the output again.',
  positionals: [MODEL],
  examples: [
    'cria merge-lora scout-bf16.gguf --lora poet.gguf -o scout-poet.gguf',
    'cria merge-lora Llama-4-Scout-17B-16E-Instruct --lora-scaled peft-adapter 0.5 -o merged',
    'cria quantize scout-poet.gguf -o scout-poet-q4.gguf --type Q4_K_M',
  ],
  options: {
    adapters: LORA,
    output: text(['-o', '--output'], 'PATH', {
      help: 'the GGUF file (NAME.gguf), or the checkpoint folder, to write; required',
    }),
    type: choice(['--type', '--outtype'], ['auto', 'bf16', 'f16', 'f32'], {
      initial: 'auto',
      help: 'type of the weights that change; auto keeps theirs, or takes bf16 for quantized ones',
    }),
    splitMaxSize: byteSize(['--split-max-size'], {
      help: 'write files with at most so much tensor data, such as 40G (default: one GGUF file; shards of 5 GB)',
    }),
  },
  run: async (terminal, { positionals: [name = ''], values }) => {
    const { output, type, splitMaxSize, adapters: files } = values;
    if (output === undefined) {
      throw new CriaError('usage', 'missing-argument', 'missing output: expected -o PATH');
    }
    if (files.length === 0) {
      throw new CriaError('usage', 'missing-argument', 'missing adapter: expected --lora FILE');
    }
    const { path } = await resolveModel(name);
    const source = await openModel(path);
    const adapters: ScaledAdapter[] = [];
    try {
      for (const { path: file, scale = 1 } of files) {
        const adapter = await openAdapter(file);
        adapters.push({ adapter, scale });
        const warning = await checkAdapter(adapter, source);
        if (warning !== undefined) terminal.stderr.write(`cria: ${warning}\n`);
      }
      const toFile = /\.gguf$/i.test(output);
      const merged = mergedSource(source, adapters, { type, floatsOnly: !toFile });
      const { signal } = terminal;
      const paths = await withProgress(terminal, { label: 'merging', unit: 'bytes' }, (onProgress) =>
        toFile
          ? convertSource(merged, output, { splitMaxSize, onProgress, signal })
          : exportCheckpoint(merged, output, { maxShardSize: splitMaxSize, onProgress, signal }),
      );
      terminal.stdout.write(`${paths.join('\n')}\n`);
    } finally {
      await source.close();
      await Promise.all(adapters.map(({ adapter }) => adapter.close()));
    }
  },
});
