import { CriaError } from '../base/errors.js';

/** A model as people name it. */
export interface ModelName {
  /** `user/repo`. */
  readonly repo: string;
  /** As typed after the colon: `Q4_K_M`, `ud-q2_k_xl`. */
  readonly quant?: string;
  /** The type was not typed: it is the one that a short name stands for. */
  readonly isUsualQuant?: boolean;
  /** Branch, tag or commit, when the name (a web address) holds one. */
  readonly revision?: string;
  /** A file or folder of the repository, when the name goes on behind it. */
  readonly path?: string;
}

/** Short names, and the type that is fetched when none is given: 2.7 bits, the smallest with little loss. */
export const KNOWN_MODELS: Readonly<Record<string, { readonly repo: string; readonly quant: string }>> = {
  scout: { repo: 'unsloth/Llama-4-Scout-17B-16E-Instruct-GGUF', quant: 'UD-Q2_K_XL' },
  maverick: { repo: 'unsloth/Llama-4-Maverick-17B-128E-Instruct-GGUF', quant: 'UD-Q2_K_XL' },
};

const SITE = /^(?:hf:\/\/|(?:https?:\/\/)?(?:www\.)?(?:hf\.co|huggingface\.co)\/)(?:models\/)?/i;
/** The Hub's rule for each half of a repository's name. */
const NAME_PART = /^(?!.*(?:--|\.\.))(?![-.])[\w.-]{1,96}(?<![-.])$/;

/**
 * `scout`, `maverick:UD-Q2_K_XL`, `user/repo`, `user/repo:QUANT`, the same behind `hf.co/`, `hf://` or
 * `https://huggingface.co/`, and addresses of files (`…/blob/main/FILE`). Undefined when `text` is none of these.
 */
export function parseModelName(text: string): ModelName | undefined {
  const known = /^([a-z]+)(?::([^:/]+))?$/i.exec(text);
  if (known) {
    const model = Object.hasOwn(KNOWN_MODELS, known[1]!.toLowerCase())
      ? KNOWN_MODELS[known[1]!.toLowerCase()]
      : undefined;
    return (
      model && { repo: model.repo, quant: known[2] ?? model.quant, isUsualQuant: known[2] === undefined }
    );
  }
  const [address = ''] = text.replace(SITE, '').split(/[?#]/, 1);
  const colon = address.indexOf(':');
  const quant = colon < 0 ? undefined : address.slice(colon + 1);
  const [user = '', name = '', ...rest] = (colon < 0 ? address : address.slice(0, colon)).split('/');
  if (!NAME_PART.test(user) || !NAME_PART.test(name)) return undefined;
  if (quant !== undefined && !/^[\w.-]+$/.test(quant)) return undefined;
  const repo = `${user}/${name}`;
  if (rest.length === 0) return { repo, quant };
  if (quant !== undefined) return undefined;
  const [verb, revision, ...path] = rest;
  if (verb === 'blob' || verb === 'resolve' || verb === 'tree') {
    if (revision === undefined || revision === '') return undefined;
    return { repo, revision: decode(revision), path: decode(path.join('/')) || undefined };
  }
  return { repo, path: decode(rest.join('/')) || undefined };
}

/** Throws `bad-model-name` (usage) when `text` names no model. */
export function requireModelName(text: string): ModelName {
  const name = parseModelName(text);
  if (name !== undefined) return name;
  const known = Object.keys(KNOWN_MODELS).join(', ');
  throw new CriaError(
    'usage',
    'bad-model-name',
    `'${text}' is not the name of a model: expected ${known}, user/repo or user/repo:QUANT`,
  );
}

/** The shortest name that means this model: `scout:UD-IQ2_XXS` rather than the repository's. */
export function displayName(repo: string, quant: string | undefined): string {
  const short = Object.entries(KNOWN_MODELS).find(([, model]) => model.repo === repo)?.[0];
  return quant === undefined ? repo : `${short ?? repo}:${quant}`;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
