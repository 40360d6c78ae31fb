import { CriaError } from '../base/errors.js';
import { cacheCapacity, type ModelPlan } from './layout.js';

/**
 * Refuses a plan that needs more than `freeBytes` (`not-enough-memory`), naming the longest context that would fit.
 * Pure.
 */
export function checkMemory(plan: ModelPlan, contextSize: number, freeBytes: number): void {
  const { weights, expertCache, cache } = plan.bytes;
  const needed = plan.arenas.arenaBytes.reduce((sum, bytes) => sum + bytes, 0);
  if (needed <= freeBytes) return;
  const fits = longestContext(plan, contextSize, freeBytes - (needed - cache));
  const orCache = expertCache > 0 ? '' : ', or --cache-experts, which reads experts of a GGUF file as needed';
  throw new CriaError(
    'resources',
    'not-enough-memory',
    `the model needs ${gib(needed)} (weights ${gib(weights)}, ` +
      (expertCache > 0 ? `cached experts ${gib(expertCache)}, ` : '') +
      `cache for ${contextSize} positions ${gib(cache)}) ` +
      `but ${gib(freeBytes)} of memory are free: ` +
      (fits > 0 ? `a context of ${fits} would fit` : `a smaller model or quantization is needed${orCache}`),
  );
}

/** The longest context, below `contextSize`, whose cache takes at most `room` bytes; 0 when none does. */
function longestContext(plan: ModelPlan, contextSize: number, room: number): number {
  const { config } = plan.layout;
  const positions = (size: number) =>
    config.ropeLayers.reduce((sum, _, layer) => sum + cacheCapacity(config, layer, size), 0);
  const bytesPerPosition = plan.bytes.cache / positions(contextSize);
  let [fits, tooLong] = [0, contextSize];
  while (tooLong - fits > 1) {
    const middle = Math.floor((fits + tooLong) / 2);
    if (positions(middle) * bytesPerPosition <= room) fits = middle;
    else tooLong = middle;
  }
  return fits;
}

function gib(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(2)} GiB`;
}
