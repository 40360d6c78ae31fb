import { stat } from 'node:fs/promises';
import { CriaError } from '../../base/errors.js';
import { fileError } from '../../base/file-errors.js';
import { convertCheckpoint } from '../../convert/convert.js';
import { exportCheckpoint } from '../../convert/to-safetensors.js';
import { openGguf } from '../../formats/gguf/index.js';
import { byteSize, choice, text } from '../options.js';
import { defineVerb } from '../verb.js';
import { withProgress } from '../work-progress.js';

export const convert = defineVerb({
  name: 'convert',
  summary: 'Turn a checkpoint into a GGUF file, or a GGUF file into a checkpoint',
  details:
    'A folder is read as a Hugging Face checkpoint and written as GGUF; a GGUF file of 16-bit or 32-bit tensors is written as a checkpoint folder.',
  positionals: [{ name: 'INPUT', help: 'a checkpoint folder, or a GGUF file' }],
  examples: [
    'cria convert Llama-4-Scout-17B-16E-Instruct -o scout-bf16.gguf',
    'cria convert scout-bf16.gguf -o scout-checkpoint',
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
    splitMaxSize: byteSize(['--split-max-size'], {
      help: 'write files with at most so much tensor data, such as 40G (default: one GGUF file; shards of 5 GB)',
    }),
  },
  run: async (terminal, { positionals: [input = ''], values, given }) => {
    const { output, type, mmproj, splitMaxSize } = values;
    if (output === undefined) {
      throw new CriaError('usage', 'missing-argument', 'missing output: expected -o PATH');
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

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    throw fileError(error, 'read', path);
  }
}
