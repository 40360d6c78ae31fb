import { CriaError } from '../base/errors.js';
import { DEFAULT_SAMPLING } from '../generate/sampling-options.js';
import { LORA } from './lora-options.js';
import {
  byteSize,
  choice,
  decimal,
  integer,
  type OptionValues,
  onOff,
  text,
  texts,
  toggle,
} from './options.js';
import { FIT, REPACK, THREADS } from './shared-options.js';
import { readTextInput } from './text-input.js';
import type { Terminal } from './verb.js';

const NETWORK = 'Network';
const ENGINE = 'Engine';
const SAMPLING = 'Sampling where a request leaves it open';

export const SERVE_OPTIONS = {
  model: text(['-m', '--model'], 'MODEL', { help: 'the model, where it is not the first argument' }),
  alias: text(['-a', '--alias'], 'NAME', { help: "the model's name in answers (default: that of the file)" }),
  mmproj: text(['-mm', '--mmproj'], 'FILE', { help: 'vision tower, for pictures in requests' }),
  templateFile: text(['--chat-template-file'], 'FILE', {
    help: "Jinja template to use instead of the model's own",
  }),
  host: text(['--host'], 'ADDRESS', { group: NETWORK, help: 'address to listen on (default 127.0.0.1)' }),
  port: integer(['--port'], {
    group: NETWORK,
    initial: 8080,
    min: 0,
    max: 65535,
    help: 'port; 0 takes a free one',
  }),
  apiKeys: texts(['--api-key'], 'KEY', {
    group: NETWORK,
    help: 'ask requests for this key; may be given several times. Others on the machine can see it: prefer a file',
  }),
  apiKeyFile: text(['--api-key-file'], 'FILE', { group: NETWORK, help: 'keys, one a line' }),
  corsOrigins: texts(['--cors-origin'], 'ORIGIN', {
    group: NETWORK,
    help: 'let pages of this origin (* for any) ask from a browser; may be given several times',
  }),
  page: onOff(['--webui'], ['--no-webui'], {
    group: NETWORK,
    help: 'the chat page at /, on by default',
  }),
  allowImageUrls: toggle(['--allow-image-urls'], {
    group: NETWORK,
    help: 'fetch pictures that requests name by address, never from private networks',
  }),
  maxBodyBytes: byteSize(['--max-body'], { group: NETWORK, help: 'largest request (default 64MiB)' }),
  maxImageBytes: byteSize(['--max-image'], { group: NETWORK, help: 'largest picture file (default 32MiB)' }),
  queueLimit: integer(['--queue'], {
    group: NETWORK,
    initial: 64,
    min: 0,
    max: 100_000,
    help: 'requests that may wait for a slot; more are refused with 503',
  }),
  parallel: integer(['-np', '--parallel'], {
    group: ENGINE,
    initial: 4,
    min: 1,
    max: 256,
    help: 'answers made at once, each with a context of its own',
  }),
  threads: { ...THREADS, group: ENGINE },
  contextSize: integer(['-c', '--ctx-size'], {
    group: ENGINE,
    initial: undefined,
    min: 0,
    help: "tokens that each prompt and answer may have together (default: the model's own limit, at most 8192); 0 for that limit",
  }),
  batchSize: integer(['-b', '--batch-size'], {
    group: ENGINE,
    initial: 512,
    min: 1,
    max: 65536,
    help: 'tokens computed at once',
  }),
  cacheTypeK: choice(['-ctk', '--cache-type-k'], ['f32', 'f16', 'q8_0'], {
    group: ENGINE,
    initial: undefined,
    help: 'number format of cached keys (default f16)',
  }),
  cacheTypeV: choice(['-ctv', '--cache-type-v'], ['f32', 'f16', 'q8_0'], {
    group: ENGINE,
    initial: undefined,
    help: 'number format of cached values (default f16)',
  }),
  cacheExperts: byteSize(['--cache-experts'], {
    group: ENGINE,
    help: 'memory for experts, which are then read from the file as needed',
  }),
  adapters: { ...LORA, group: ENGINE },
  loraInitWithoutApply: toggle(['--lora-init-without-apply'], {
    group: ENGINE,
    help: 'load adapters for requests that ask for them, and use none otherwise',
  }),
  repack: { ...REPACK, group: ENGINE },
  fit: { ...FIT, group: ENGINE },
  temperature: decimal(['--temp', '--temperature'], {
    group: SAMPLING,
    initial: DEFAULT_SAMPLING.temperature,
    min: 0,
    help: 'temperature',
  }),
  topK: integer(['--top-k'], {
    group: SAMPLING,
    initial: DEFAULT_SAMPLING.topK,
    min: 0,
    help: 'likeliest tokens to sample from; 0 for all',
  }),
  topP: decimal(['--top-p'], {
    group: SAMPLING,
    initial: DEFAULT_SAMPLING.topP,
    min: 0,
    max: 1,
    help: 'probability of the likeliest tokens together',
  }),
  minP: decimal(['--min-p'], {
    group: SAMPLING,
    initial: DEFAULT_SAMPLING.minP,
    min: 0,
    max: 1,
    help: 'probability relative to the likeliest token',
  }),
} as const;

/** Keys given directly and in a file, where empty lines and those that begin with # say nothing. */
export async function readApiKeys(
  terminal: Terminal,
  { apiKeys, apiKeyFile }: Pick<OptionValues<typeof SERVE_OPTIONS>, 'apiKeys' | 'apiKeyFile'>,
): Promise<string[]> {
  if (apiKeyFile === undefined) return [...apiKeys];
  const lines = (await readTextInput(terminal, apiKeyFile)).split(/\r?\n/).map((line) => line.trim());
  const fromFile = lines.filter((line) => line !== '' && !line.startsWith('#'));
  if (fromFile.length === 0) {
    throw new CriaError('usage', 'no-api-key', `'${apiKeyFile}': expected an API key on a line, found none`);
  }
  return [...apiKeys, ...fromFile];
}
