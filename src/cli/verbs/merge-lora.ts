import { CriaError } from '../../base/errors.js';
import { mergeAdapters } from '../../convert/lora/merge-adapters.js';
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
    'The output is a GGUF file where its name ends in .gguf, otherwise a checkpoint folder. Weights that were quantized and that an adapter changes become 16-bit; quantize the output again.',
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
    const paths = await withProgress(terminal, { label: 'merging', unit: 'bytes' }, (onProgress) =>
      mergeAdapters(path, output, files, {
        type,
        splitMaxSize,
        onWarning: (warning) => terminal.stderr.write(`cria: ${warning}\n`),
        onProgress,
        signal: terminal.signal,
      }),
    );
    terminal.stdout.write(`${paths.join('\n')}\n`);
  },
});
