import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { CriaError } from '../base/errors.js';

/** Where models come from and where they are kept. */
export interface HubSettings {
  /** Address of the Hub without a slash at the end. */
  readonly endpoint: string;
  /** Folder with one `models--user--repo` for each repository. */
  readonly cacheFolder: string;
  /** Sent to `endpoint` and nowhere else. */
  readonly token: string | undefined;
  /** No request is made. */
  readonly offline: boolean;
  /** Fetch files stored in Xet by its own protocol. */
  readonly xet: boolean;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads the variables that huggingface_hub and llama.cpp read. The cache folder is the first of `LLAMA_CACHE`,
 * `HF_HUB_CACHE`, `HUGGINGFACE_HUB_CACHE`, `HF_HOME/hub`, `XDG_CACHE_HOME/huggingface/hub` and
 * `~/.cache/huggingface/hub`, the order of llama.cpp's `common/hf-cache.cpp`; the token that of `--token`, `HF_TOKEN`,
 * `HUGGING_FACE_HUB_TOKEN` and the file `HF_TOKEN_PATH` or `HF_HOME/token`, where `hf auth login` puts it.
 * Throws `bad-endpoint`, `bad-token` (usage).
 */
export async function readHubSettings(
  options: { readonly token?: string } = {},
  environment: Environment = process.env,
): Promise<HubSettings> {
  const folder = (name: string) => {
    const value = environment[name];
    return value === undefined || value === ''
      ? undefined
      : resolve(value.replace(/^~(?=$|[/\\])/, homedir()));
  };
  const home =
    folder('HF_HOME') ?? join(folder('XDG_CACHE_HOME') ?? join(homedir(), '.cache'), 'huggingface');
  const token =
    options.token ||
    environment.HF_TOKEN ||
    environment.HUGGING_FACE_HUB_TOKEN ||
    (await readFile(folder('HF_TOKEN_PATH') ?? join(home, 'token'), 'utf8').catch(() => ''));
  return {
    endpoint: checkEndpoint(environment.HF_ENDPOINT || 'https://huggingface.co'),
    cacheFolder:
      folder('LLAMA_CACHE') ?? folder('HF_HUB_CACHE') ?? folder('HUGGINGFACE_HUB_CACHE') ?? join(home, 'hub'),
    token: checkToken(token.trim()),
    offline: isTrue(environment.HF_HUB_OFFLINE),
    xet: !isTrue(environment.HF_HUB_DISABLE_XET),
  };
}

function isTrue(value: string | undefined): boolean {
  return /^(1|on|yes|true)$/i.test(value ?? '');
}

function checkEndpoint(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.search !== '' || url.hash !== '') {
    throw new CriaError(
      'usage',
      'bad-endpoint',
      `HF_ENDPOINT expects an address such as https://huggingface.co, found '${text}'`,
    );
  }
  return text.replace(/\/+$/, '');
}

function checkToken(token: string): string | undefined {
  if (token === '') return undefined;
  // The token itself stays out of the message: it may end up in a log.
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw new CriaError('usage', 'bad-token', 'the token for the Hub has characters that no token has');
  }
  return token;
}
