export { type CachedFile, type CachedModel, findCachedModel, modelsOf, readCache } from './cached-models.js';
export { displayName, type ModelName, parseModelName, requireModelName } from './model-name.js';
export { type PulledFile, type PullOptions, type PullPlan, withPullPlan } from './pull.js';
export { planRemoval, type Removal } from './remove-cached.js';
export { type ResolvedModel, resolveModelArgument } from './resolve-model.js';
export { type HubSettings, readHubSettings } from './settings.js';
