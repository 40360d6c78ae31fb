import { randomInt } from 'node:crypto';
import { CriaError } from '../../base/errors.js';
import { Conversation, chatFormat } from '../../chat/index.js';
import { IMAGE_TOKEN, placeImages } from '../../chat/prompt-images.js';
import { TokenGrammar } from '../../generate/grammar/index.js';
import { type EncodedImage, loadModel, type Model } from '../../generate/load-model.js';
import { describeMemory } from '../../model/memory-summary.js';
import { chatLoop } from '../chat-loop.js';
import { GenerationSession } from '../generation.js';
import { LineReader } from '../line-reader.js';
import { resolveModel } from '../model-argument.js';
import type { OptionValues } from '../options.js';
import { readOutputForm } from '../output-form.js';
import { encodePicture, readPicture, readPictures } from '../pictures.js';
import { PromptCache } from '../prompt-cache.js';
import { type RunInput, readRunInput } from '../run-input.js';
import { IGNORED_OPTIONS, RUN_OPTIONS } from '../run-options.js';
import { cacheTypes } from '../shared-options.js';
import { checkSpeculation, type OpenDrafter, openDrafter } from '../speculation.js';
import { defineVerb, type Terminal } from '../verb.js';
import { withProgress } from '../work-progress.js';

type RunValues = OptionValues<typeof RUN_OPTIONS>;

export const run = defineVerb({
  name: 'run',
  summary: 'Write text or chat with a model',
  details:
    'Without a prompt, at a terminal, this is a chat. A prompt (-p, -f, or standard input) is answered once.',
  positionals: [
    {
      name: 'MODEL',
      optional: true,
      help: 'a GGUF file, the first part of a split one, a checkpoint folder, or the name of a pulled model',
    },
  ],
  examples: [
    'cria run scout.gguf',
    "cria run scout.gguf -p 'Three facts about alpacas' -n 200",
    'cria run scout.gguf -sys recommended -c 32768',
    "cria run scout.gguf --mmproj mmproj.gguf --image llama.jpg -p 'What is this?'",
    "cria run scout.gguf --lora poet.gguf --lora-scaled terse.gguf 0.5 -p 'Ode to a llama'",
    "git diff | cria run scout.gguf -sys 'Review this patch.' -f -",
  ],
  options: RUN_OPTIONS,
  run: async (terminal, { positionals, values }) => {
    const argument = positionals[0] ?? values.model;
    if (argument === undefined) {
      throw new CriaError('usage', 'missing-argument', "missing MODEL: expected 'cria run MODEL [options]'");
    }
    const { path, projector } = await resolveModel(argument);
    const mmproj = values.mmproj ?? projector;
    warnOfIgnored(terminal, values);
    checkSpeculation(values);
    const form = await readOutputForm(terminal, values);
    const input = await readRunInput(terminal, values);
    const pictures = await readPictures(path, { ...values, mmproj });
    const { contextSize, threads, batchSize } = values;
    const engine = {
      threads: threads !== undefined && threads > 0 ? threads : undefined,
      batchSize,
      repack: values.repack,
      kvType: cacheTypes(values),
      signal: terminal.signal,
    };
    const started = performance.now();
    const model = await withProgress(
      terminal,
      { label: 'loading', unit: 'bytes', quiet: terminal.stderr.isTTY !== true },
      (onProgress) =>
        loadModel(path, {
          ...engine,
          mmproj,
          contextSize,
          fit: values.fit === 'on',
          onPlan: (plan, size) => {
            // Only who asks for a context of their own size wants to know what it takes.
            if (contextSize !== undefined) terminal.stderr.write(`${describeMemory(plan, size)}\n`);
          },
          cacheExperts: values.cacheExperts,
          adapters: values.adapters,
          onWarning: (warning) => terminal.stderr.write(`cria: ${warning}\n`),
          onProgress,
        }),
    );
    let draft: OpenDrafter | undefined;
    try {
      draft = await openDrafter(values, model, engine);
      const promptCache = await PromptCache.open(model, path, values);
      const loadSeconds = (performance.now() - started) / 1000;
      const session = new GenerationSession(terminal, model, {
        values,
        drafter: draft.drafter,
        promptCache,
        constraint: form && new TokenGrammar(form, model.tokenizer),
        seed: chooseSeed(values),
        loadSeconds,
      });
      const images: EncodedImage[] = [];
      for (const picture of pictures) {
        images.push(await encodePicture(terminal, model, picture, values, terminal.signal));
      }
      if (values.conversation === false) await complete(session, values, images, input.prompt);
      else await converse(session, values, images, input);
      await promptCache?.atEnd();
    } finally {
      await draft?.close();
      await model.close();
    }
  },
});

/** Continues the prompt as it stands; pictures go where it says `<|image|>`, or in front. */
async function complete(
  session: GenerationSession,
  values: RunValues,
  images: readonly EncodedImage[],
  prompt = '',
): Promise<void> {
  const { terminal, model } = session;
  if (values.displayPrompt !== false) terminal.stdout.write(prompt);
  const { tokenizer } = model;
  const marked = prompt.includes(IMAGE_TOKEN) ? prompt : IMAGE_TOKEN.repeat(images.length) + prompt;
  const tokens = tokenizer.encode(marked, { addBos: true, parseSpecial: true });
  const ids =
    images.length === 0
      ? tokens
      : placeImages(tokens, tokenizer.encode(IMAGE_TOKEN, { parseSpecial: true })[0], images);
  await session.continue(ids, { signal: terminal.signal, whenStopped: 'throw' });
}

async function converse(
  session: GenerationSession,
  values: RunValues,
  images: readonly EncodedImage[],
  { prompt, system, template }: RunInput,
): Promise<void> {
  const { terminal, model } = session;
  const format = chatFormat(model, template);
  const conversation = new Conversation(system);
  if (prompt !== undefined && (values.conversation === undefined || values.singleTurn)) {
    conversation.addUser(prompt, images);
    const ids = format.encode(conversation.chat);
    await session.continue(ids, { signal: terminal.signal, whenStopped: 'throw' });
    return;
  }
  const lines = new LineReader(terminal);
  try {
    if (terminal.stdin.isTTY) terminal.stderr.write(welcome(model));
    await chatLoop({
      conversation,
      lines,
      notes: terminal.stderr,
      firstMessage: prompt,
      images,
      loadImage: async (path, signal) =>
        encodePicture(terminal, model, await readPicture(path), values, signal),
      answer: ({ chat }, signal) => session.continue(format.encode(chat), { signal, whenStopped: 'keep' }),
    });
  } finally {
    lines.close();
  }
}

function welcome(model: Model): string {
  const name = model.metadata.get('general.name')?.value;
  return `${typeof name === 'string' ? name : 'Llama 4'}, ${model.contextSize} tokens of context. /help lists the commands.\n`;
}

function warnOfIgnored(terminal: Terminal, values: RunValues): void {
  const flags = (Object.keys(IGNORED_OPTIONS) as (keyof typeof IGNORED_OPTIONS)[]).flatMap(
    (key) => values[key] ?? [],
  );
  if (flags.length > 0) {
    terminal.stderr.write(`cria: ${flags.join(', ')} without effect: there is no GPU back end\n`);
  }
}

function chooseSeed({ seed }: RunValues): number {
  return seed === undefined || seed < 0 ? randomInt(2 ** 32) : seed;
}
