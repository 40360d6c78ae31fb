import { stat } from 'node:fs/promises';
import { CriaError } from '../base/errors.js';
import { findCachedModel } from './cached-models.js';
import { KNOWN_MODELS, parseModelName } from './model-name.js';
import type { HubSettings } from './settings.js';

/** A model argument as paths. */
export interface ResolvedModel {
  readonly path: string;
  /** The projector for pictures that was pulled with it. */
  readonly projector: string | undefined;
}

/**
 * What MODEL means on the command line: a path that exists, else the name of a pulled model. What is neither, and does
 * not look like a name either, is left for the reader of the file to complain about.
 * Throws `model-not-pulled` (not-found), which says how to pull it.
 */
export async function resolveModelArgument(text: string, settings: HubSettings): Promise<ResolvedModel> {
  const asPath = { path: text, projector: undefined };
  if (await stat(text).catch(() => undefined)) return asPath;
  const name = parseModelName(text);
  if (name === undefined) return asPath;
  const found = await findCachedModel(name, settings.cacheFolder);
  if (found !== undefined) return found;
  const isKnown = Object.values(KNOWN_MODELS).some(({ repo }) => repo === name.repo);
  // `models/scout` may as well be a folder as a repository; the message fits both.
  const what = isKnown ? 'has not been pulled yet' : 'is no file here and has not been pulled';
  throw new CriaError('not-found', 'model-not-pulled', `'${text}' ${what}: 'cria pull ${text}' fetches it`);
}
