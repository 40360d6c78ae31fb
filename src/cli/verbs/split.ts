import { CriaError } from '../../base/errors.js';
import { splitGguf } from '../../formats/gguf/index.js';
import { byteSize, integer } from '../options.js';
import { defineVerb } from '../verb.js';
import { withProgress } from '../work-progress.js';

export const split = defineVerb({
  name: 'split',
  summary: 'Cut a GGUF file into parts',
  positionals: [
    { name: 'INPUT', help: 'a GGUF file, or the first part of a split one' },
    { name: 'PREFIX', help: 'the parts are PREFIX-00001-of-0000N.gguf' },
  ],
  examples: ['cria split scout.gguf parts/scout --split-max-size 50G'],
  options: {
    maxSize: byteSize(['--split-max-size'], { help: 'most tensor data in one part, such as 2G or 500M' }),
    maxTensors: integer(['--split-max-tensors'], {
      initial: undefined,
      min: 1,
      help: 'most tensors in one part (default 128 where no size is given)',
    }),
  },
  run: async (terminal, { positionals, values: { maxSize, maxTensors } }) => {
    const [input = '', prefix = ''] = positionals;
    if (prefix === '' || prefix.endsWith('/')) {
      throw new CriaError(
        'usage',
        'bad-value',
        `PREFIX expects a file name without its ending, found '${prefix}'`,
      );
    }
    const limits = maxSize === undefined ? { maxTensors: maxTensors ?? 128 } : { maxSize, maxTensors };
    const paths = await withProgress(terminal, { label: 'splitting', unit: 'bytes' }, (onProgress) =>
      splitGguf(input, prefix, { ...limits, onProgress }),
    );
    terminal.stdout.write(`${paths.join('\n')}\n`);
  },
});
