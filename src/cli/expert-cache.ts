import { formatBytes } from '../base/byte-size.js';
import type { ExpertCacheStatistics } from '../model/expert-store.js';
import { byteSize } from './options.js';

/** For verbs that load a model. */
export const CACHE_EXPERTS = byteSize(['--cache-experts'], {
  help: 'memory for routed experts, the others are read from the GGUF file as needed; for models larger than memory (default: all in memory)',
});

/** What happened between two looks at a model's experts: `experts 91.2% in memory, 5.3% read ahead, 1.23 GB read`. */
export function describeExperts(now: ExpertCacheStatistics, before?: ExpertCacheStatistics): string {
  const requests = now.requests - (before?.requests ?? 0);
  const percent = (count: number) => `${((100 * count) / Math.max(1, requests)).toFixed(1)}%`;
  return [
    `experts ${percent(now.hits - (before?.hits ?? 0))} in memory`,
    `${percent(now.predicted - (before?.predicted ?? 0))} read ahead`,
    `${formatBytes(now.bytesRead - (before?.bytesRead ?? 0))} read`,
    `${(now.secondsWaited - (before?.secondsWaited ?? 0)).toFixed(1)} s waited`,
  ].join(', ');
}
