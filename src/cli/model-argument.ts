import { type ResolvedModel, readHubSettings, resolveModelArgument } from '../hub/index.js';

/** What MODEL on the command line means: a path, or the name of a pulled model. Throws `model-not-pulled`. */
export async function resolveModel(text: string): Promise<ResolvedModel> {
  return resolveModelArgument(text, await readHubSettings());
}

/** The path alone. */
export async function modelPath(text: string): Promise<string> {
  return (await resolveModel(text)).path;
}
