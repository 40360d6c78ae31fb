import { stat } from 'node:fs/promises';
import { describeGguf, openGguf, renderGguf } from '../../formats/gguf/index.js';
import { describeSafetensors, openSafetensors, renderSafetensors } from '../../formats/safetensors/index.js';
import { modelPath } from '../model-argument.js';
import { toggle } from '../options.js';
import { defineVerb } from '../verb.js';

export const inspect = defineVerb({
  name: 'inspect',
  summary: 'Show what a GGUF file or a checkpoint holds',
  positionals: [
    {
      name: 'FILE',
      help: 'a GGUF file (the first part of a split one), a safetensors file, or a checkpoint folder',
    },
  ],
  examples: ['cria inspect scout.gguf'],
  options: {
    json: toggle(['--json'], { help: 'print one JSON object' }),
  },
  run: async (terminal, { positionals: [path = ''], values }) => {
    const { description, text } = await describeModel(await modelPath(path));
    terminal.stdout.write(values.json ? `${JSON.stringify(description, null, 1)}\n` : text());
  },
});

async function describeModel(path: string): Promise<{ description: object; text: () => string }> {
  if (await isSafetensors(path)) {
    const file = await openSafetensors(path);
    try {
      const description = describeSafetensors(file);
      return { description, text: () => renderSafetensors(description) };
    } finally {
      await file.close();
    }
  }
  const file = await openGguf(path);
  try {
    const description = describeGguf(file);
    return { description, text: () => renderGguf(description) };
  } finally {
    await file.close();
  }
}

async function isSafetensors(path: string): Promise<boolean> {
  if (/\.safetensors(\.index\.json)?$/.test(path)) return true;
  const stats = await stat(path).catch(() => undefined);
  return stats?.isDirectory() ?? false;
}
