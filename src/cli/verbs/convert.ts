import { stat } from 'node:fs/promises';
import { CriaError } from '../../base/errors.js';
import { fileError } from '../../base/file-errors.js';
import { convertCheckpoint } from '../../convert/convert.js';
import { convertAdapter } from '../../convert/lora/convert-adapter.js';
import { isAdapter } from '../../convert/lora/open-adapter.js';
import { exportCheckpoint } from '../../convert/to-safetensors.js';
import { openGguf } from '../../formats/gguf/index.js';
import { byteSize, choice, text } from '../options.js';
import { defineVerb } from '../verb.js';
import { withProgress } from '../work-progress.js';

export const convert = defineVerb({
  name: 'convert',
  summary: 'Turn a checkpoint into a GGUF file, or a GGUF file into a checkpoint',
  details:
    'A folder is read as a Hugging Face checkpoint and written as GGUF; a GGUF file of 16-bit or 32-bit tensors is written as a checkpoint folder. LoRA adapters are converted, too: a PEFT folder to GGUF, a GGUF adapter to a PEFT folder.',
  positionals: [
    { name: 'INPUT', help: 'a checkpoint folder, a GGUF file, or a LoRA adapter of either form' },
  ],
  examples: [
    'cria convert Llama-4-Scout-17B-16E-Instruct -o scout-bf16.gguf',
    'cria convert scout-bf16.gguf -o scout-checkpoint',
    'cria convert peft-adapter --base scout.gguf -o adapter.gguf',
    'cria convert adapter.gguf -o peft-adapter',
  ],
  options: {
    output: text(['-o', '--output', '--outfile'], 'PATH', {
      help: 'the GGUF file, or the checkpoint folder, to write; required',
    }),
    type: choice(['--type', '--outtype'], ['auto', 'bf16', 'f16', 'f32', 'q8_0'], {
      initial: 'auto',
      help: 'type of the large tensors; auto keeps that of the checkpoint',
    }),
    mmproj: text(['--mmproj'], 'FILE', { help: 'also write the vision part, as a GGUF file of its own' }),
    base: text(['--base'], 'MODEL', {
      help: 'for adapters: the model it belongs to, to check its shapes and to write down its checksum',
    }),
    splitMaxSize: byteSize(['--split-max-size'], {
      help: 'write files with at most so much tensor data, such as 40G (default: one GGUF file; shards of 5 GB)',
    }),
  },
  run: async (terminal, { positionals: [input = ''], values, given }) => {
    const { output, type, mmproj, splitMaxSize } = values;
    if (output === undefined) {
      throw new CriaError('usage', 'missing-argument', 'missing output: expected -o PATH');
    }
    if (await isAdapter(input)) {
      checkAdapterOptions(given);
      await convertAdapter(input, output, {
        base: values.base,
        onWarning: (warning) => terminal.stderr.write(`cria: ${warning}\n`),
      });
      terminal.stdout.write(`${output}\n`);
      return;
    }
    if (values.base !== undefined) {
      throw new CriaError('usage', 'unexpected-option', '--base needs an adapter as INPUT, found a model');
    }
    const { signal } = terminal;
    const paths = await withProgress(terminal, { label: 'converting', unit: 'bytes' }, async (onProgress) => {
      if (await isFolder(input)) {
        return convertCheckpoint(input, output, { type, mmproj, splitMaxSize, onProgress, signal });
      }
      if (given.has('type') || mmproj !== undefined) {
        throw new CriaError(
          'usage',
          'unexpected-option',
          '--type and --mmproj need a checkpoint folder as INPUT, found a file (its tensors keep their types)',
        );
      }
      const source = await openGguf(input);
      try {
        return await exportCheckpoint(source, output, { maxShardSize: splitMaxSize, onProgress, signal });
      } finally {
        await source.close();
      }
    });
    terminal.stdout.write(`${paths.join('\n')}\n`);
  },
});

function checkAdapterOptions(given: ReadonlySet<string>): void {
  const flag = given.has('type')
    ? '--type'
    : given.has('mmproj')
      ? '--mmproj'
      : given.has('splitMaxSize')
        ? '--split-max-size'
        : undefined;
  if (flag === undefined) return;
  throw new CriaError('usage', 'unexpected-option', `${flag} needs a model as INPUT, found an adapter`);
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    throw fileError(error, 'read', path);
  }
}
