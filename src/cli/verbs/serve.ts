import { basename } from 'node:path';
import { CriaError } from '../../base/errors.js';
import { loadModel } from '../../generate/load-model.js';
import { serveModel } from '../../server/serve.js';
import { loadWebPage } from '../../server/web-page.js';
import { resolveModel } from '../model-argument.js';
import { readApiKeys, SERVE_OPTIONS } from '../serve-options.js';
import { cacheTypes } from '../shared-options.js';
import { readTextInput } from '../text-input.js';
import { defineVerb } from '../verb.js';
import { withProgress } from '../work-progress.js';

export const serve = defineVerb({
  name: 'serve',
  summary: "Answer chats over HTTP: OpenAI's API and a web page",
  details:
    'Listens on this machine alone unless --host says otherwise. Ctrl-C lets answers under way finish; a second one ends them.',
  positionals: [
    {
      name: 'MODEL',
      optional: true,
      help: 'a GGUF file, a checkpoint folder, or the name of a pulled model',
    },
  ],
  examples: [
    'cria serve scout.gguf',
    'cria serve scout.gguf -c 16384 -np 8 --api-key-file keys.txt --host 0.0.0.0',
    'cria serve scout.gguf --mmproj mmproj.gguf',
    'cria serve scout.gguf --lora poet.gguf --lora terse.gguf --lora-init-without-apply',
  ],
  options: SERVE_OPTIONS,
  run: async (terminal, { positionals, values }) => {
    const name = positionals[0] ?? values.model;
    if (name === undefined) {
      throw new CriaError(
        'usage',
        'missing-argument',
        "missing MODEL: expected 'cria serve MODEL [options]'",
      );
    }
    const { path, projector } = await resolveModel(name);
    const apiKeys = await readApiKeys(terminal, values);
    const { templateFile } = values;
    const template = templateFile === undefined ? undefined : await readTextInput(terminal, templateFile);
    const model = await withProgress(
      terminal,
      { label: 'loading', unit: 'bytes', quiet: terminal.stderr.isTTY !== true },
      (onProgress) =>
        loadModel(path, {
          threads: values.threads,
          contextSize: values.contextSize,
          fit: values.fit === 'on',
          parallel: values.parallel,
          kvType: cacheTypes(values),
          batchSize: values.batchSize,
          repack: values.repack,
          cacheExperts: values.cacheExperts,
          adapters: values.loraInitWithoutApply
            ? values.adapters.map((file) => ({ ...file, scale: 0 }))
            : values.adapters,
          onWarning: (warning) => terminal.stderr.write(`cria: ${warning}\n`),
          mmproj: values.mmproj ?? projector,
          onProgress,
          signal: terminal.signal,
        }),
    );
    try {
      const server = await serveModel(model, {
        host: values.host ?? '127.0.0.1',
        port: values.port,
        modelName: values.alias ?? basename(path).replace(/\.gguf$/i, ''),
        template,
        sampling: {
          temperature: values.temperature,
          topK: values.topK,
          topP: values.topP,
          minP: values.minP,
        },
        images: {
          allowUrls: values.allowImageUrls,
          allowPrivate: false,
          maxBytes: values.maxImageBytes ?? 32 * 2 ** 20,
        },
        queueLimit: values.queueLimit,
        batchSize: Math.min(values.batchSize, model.contextSize),
        apiKeys,
        corsOrigins: values.corsOrigins,
        page: values.page === false ? undefined : await loadWebPage(),
        maxBodyBytes: values.maxBodyBytes ?? 64 * 2 ** 20,
        onError: (error) => {
          terminal.stderr.write(
            `cria: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
          );
        },
      });
      terminal.stderr.write(`${server.url} answers, ${model.sequences} at once. Ctrl-C ends.\n`);
      await interrupted(terminal.signal);
      terminal.stderr.write('finishing the answers under way; Ctrl-C again ends them\n');
      await server.drain();
    } finally {
      await model.close();
    }
  },
});

function interrupted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
