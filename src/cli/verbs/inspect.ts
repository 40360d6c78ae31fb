import { describeGguf, openGguf, renderGguf } from '../../formats/gguf/index.js';
import { toggle } from '../options.js';
import { defineVerb } from '../verb.js';

export const inspect = defineVerb({
  name: 'inspect',
  summary: 'Show what a GGUF file holds',
  positionals: [{ name: 'FILE', help: 'a GGUF file, or the first part of a split one' }],
  options: {
    json: toggle(['--json'], { help: 'print one JSON object' }),
  },
  run: async (terminal, { positionals: [path = ''], values }) => {
    const file = await openGguf(path);
    try {
      const description = describeGguf(file);
      terminal.stdout.write(
        values.json ? `${JSON.stringify(description, null, 1)}\n` : renderGguf(description),
      );
    } finally {
      await file.close();
    }
  },
});
