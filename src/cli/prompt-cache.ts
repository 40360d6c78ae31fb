import { stat } from 'node:fs/promises';
import { CriaError } from '../base/errors.js';
import { openModel } from '../convert/open-model.js';
import { sampledFingerprint } from '../formats/fingerprint.js';
import type { AdapterFile, Model } from '../generate/load-model.js';
import { withAdapters } from './lora-options.js';
import { type OptionValues, text, toggle } from './options.js';

const group = 'Engine';

/** llama.cpp's flags for keeping a computed prompt from one run to the next. */
export const PROMPT_CACHE_OPTIONS = {
  promptCache: text(['--prompt-cache'], 'FILE', {
    group,
    help: 'keep the computed prompt in a file; a later run computes only what its own prompt adds',
  }),
  promptCacheAll: toggle(['--prompt-cache-all'], { group, help: 'with --prompt-cache, keep answers, too' }),
  promptCacheRo: toggle(['--prompt-cache-ro'], {
    group,
    help: 'with --prompt-cache, leave the file as it is',
  }),
} as const;

/** The file of one run's prompt: restored before the first prompt, saved after it or, with answers, at the end. */
export class PromptCache {
  readonly #model: Model;
  readonly #fingerprint: string;
  readonly #path: string;
  readonly #saves: 'prompt' | 'all' | 'never';
  #saved = false;

  private constructor(model: Model, fingerprint: string, path: string, saves: 'prompt' | 'all' | 'never') {
    this.#model = model;
    this.#fingerprint = fingerprint;
    this.#path = path;
    this.#saves = saves;
  }

  /** Undefined without --prompt-cache. Throws as restoreSession does; a file that is not there is a first run. */
  static async open(
    model: Model,
    modelPath: string,
    values: OptionValues<typeof PROMPT_CACHE_OPTIONS> & { readonly adapters: readonly AdapterFile[] },
  ): Promise<PromptCache | undefined> {
    const { promptCache: path, promptCacheAll, promptCacheRo } = values;
    if (path === undefined) {
      if (!promptCacheAll && !promptCacheRo) return undefined;
      const flag = promptCacheAll ? '--prompt-cache-all' : '--prompt-cache-ro';
      throw new CriaError('usage', 'missing-argument', `${flag} needs the file of --prompt-cache`);
    }
    const source = await openModel(modelPath);
    const base = await sampledFingerprint(source).finally(() => source.close());
    const fingerprint = await withAdapters(base, values.adapters);
    if (await exists(path)) await model.restoreSession(path, fingerprint);
    return new PromptCache(
      model,
      fingerprint,
      path,
      promptCacheRo ? 'never' : promptCacheAll ? 'all' : 'prompt',
    );
  }

  /** To be called when a prompt was computed and before its answer is. */
  async afterPrompt(): Promise<void> {
    if (this.#saves === 'prompt' && !this.#saved) await this.#save();
  }

  /** To be called at the end. */
  async atEnd(): Promise<void> {
    if (this.#saves === 'all') await this.#save();
  }

  async #save(): Promise<void> {
    this.#saved = true;
    await this.#model.saveSession(this.#path, this.#fingerprint);
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
