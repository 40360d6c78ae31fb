import { resolve } from 'node:path';
import { type HubSettings, readHubSettings } from '../hub/index.js';
import { text } from './options.js';

/** What the verbs about the cache take in the same words. */
export const CACHE_FOLDER = text(['--cache-dir'], 'FOLDER', {
  help: 'the cache (default: LLAMA_CACHE, HF_HUB_CACHE, HF_HOME/hub, or ~/.cache/huggingface/hub)',
});

export const REVISION = text(['--revision'], 'R', { help: 'a branch, a tag or a commit (default main)' });

export async function hubSettings(values: {
  readonly cacheFolder: string | undefined;
  readonly token?: string;
}): Promise<HubSettings> {
  const settings = await readHubSettings({ token: values.token });
  return values.cacheFolder === undefined
    ? settings
    : { ...settings, cacheFolder: resolve(values.cacheFolder) };
}
