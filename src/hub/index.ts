export { type CachedFile, type CachedModel, findCachedModel, modelsOf, readCache } from './cached-models.js';
export { displayName, type ModelName, parseModelName, requireModelName } from './model-name.js';
// `pull.ts` is imported where it is used: it loads the HTTP client, which the rest does not need.
export type { PulledFile, PullOptions, PullPlan } from './pull.js';
export { planRemoval, type Removal } from './remove-cached.js';
export { type ResolvedModel, resolveModelArgument } from './resolve-model.js';
export { type HubSettings, readHubSettings } from './settings.js';
