import { mergeGguf } from '../../formats/gguf/index.js';
import { defineVerb } from '../verb.js';
import { withProgress } from '../work-progress.js';

export const merge = defineVerb({
  name: 'merge',
  summary: 'Join the parts of a split GGUF file',
  positionals: [
    { name: 'INPUT', help: 'the first part, NAME-00001-of-0000N.gguf; the others are found beside it' },
    { name: 'OUTPUT', help: 'the GGUF file to write' },
  ],
  examples: ['cria merge parts/scout-00001-of-00002.gguf scout.gguf'],
  options: {},
  run: async (terminal, { positionals: [input = '', output = ''] }) => {
    await withProgress(terminal, { label: 'merging', unit: 'bytes' }, (onProgress) =>
      mergeGguf(input, output, { onProgress }),
    );
    terminal.stdout.write(`${output}\n`);
  },
});
