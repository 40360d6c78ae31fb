import { createHash } from 'node:crypto';
import type { AdapterFile } from '../convert/lora/adapter.js';
import { adapterFingerprint } from '../convert/lora/check-adapter.js';
import { openAdapter } from '../convert/lora/open-adapter.js';
import { badValue, type Option } from './options.js';

const SCALED = '--lora-scaled';
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
/** llama.cpp's other spelling: FILE:SCALE. */
const WITH_SCALE = /^(.+):([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)$/i;

/** llama.cpp's flags for adapters, in one list: their order numbers the adapters. */
export const LORA: Option<readonly AdapterFile[]> = {
  flags: ['--lora', SCALED],
  placeholder: 'FILE [SCALE]',
  help: 'a LoRA adapter, GGUF or PEFT folder; --lora-scaled takes after it how much of it to add; may be given several times',
  initial: [],
  second: (value, flag) => (flag === SCALED && !WITH_SCALE.test(value) ? 'SCALE' : undefined),
  accept: (value, flag, previous, second) => {
    if (flag !== SCALED) return [...previous, { path: value, scale: 1 }];
    const [, path = value, scale = second ?? ''] = WITH_SCALE.exec(value) ?? [];
    if (!NUMBER.test(scale)) throw badValue(flag, 'a number after the file', scale);
    return [...previous, { path, scale: Number(scale) }];
  },
};

/** What a model with adapters is, from what it is without: what is kept of one is useless to the other. */
export async function withAdapters(fingerprint: string, files: readonly AdapterFile[]): Promise<string> {
  if (files.length === 0) return fingerprint;
  const hash = createHash('sha256').update(fingerprint);
  for (const { path, scale } of files) {
    const adapter = await openAdapter(path);
    const own = await adapterFingerprint(adapter).finally(() => adapter.close());
    hash.update(`\n${own} ${scale}`);
  }
  return hash.digest('hex');
}
