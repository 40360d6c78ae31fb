/** Names of transformers (`lr_scheduler_type`). */
export const SCHEDULES = ['linear', 'cosine', 'constant', 'constant_with_warmup', 'inverse_sqrt'] as const;
export type ScheduleType = (typeof SCHEDULES)[number];

export interface Schedule {
  readonly type: ScheduleType;
  /** The highest learning rate. */
  readonly learningRate: number;
  /** Steps over which it rises from 0; `constant` has none. */
  readonly warmupSteps: number;
  readonly totalSteps: number;
}

/**
 * Learning rate of a step (from 0), as transformers' `get_scheduler` has it: the first step of a warm-up is at 0, and
 * `inverse_sqrt` without a warm-up takes 10 000 steps for its time scale.
 */
export function learningRateAt(
  { type, learningRate, warmupSteps, totalSteps }: Schedule,
  step: number,
): number {
  if (type === 'constant') return learningRate;
  if (step < warmupSteps) return learningRate * (step / warmupSteps);
  const after = step - warmupSteps;
  const progress = Math.min(1, after / Math.max(1, totalSteps - warmupSteps));
  switch (type) {
    case 'constant_with_warmup':
      return learningRate;
    case 'linear':
      return learningRate * (1 - progress);
    case 'cosine':
      return learningRate * 0.5 * (1 + Math.cos(Math.PI * progress));
    case 'inverse_sqrt': {
      const scale = warmupSteps || 10_000;
      return learningRate / Math.sqrt((step - warmupSteps + scale) / scale);
    }
  }
}

/** Steps of warm-up: a number of them, or a share of all (rounded up, as transformers does). */
export function warmupSteps(
  { steps, ratio }: { readonly steps?: number; readonly ratio?: number },
  totalSteps: number,
): number {
  return steps ?? Math.ceil((ratio ?? 0) * totalSteps);
}
