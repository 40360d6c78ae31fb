/** What early stopping remembers between evaluations. */
export interface BestEvaluation {
  readonly loss: number;
  readonly step: number;
  /** Evaluations since then that were no better. */
  readonly since: number;
}

/** Takes in an evaluation; `better` where it has the lowest loss so far. */
export function judgeEvaluation(
  best: BestEvaluation | undefined,
  step: number,
  loss: number,
): { readonly best: BestEvaluation; readonly better: boolean } {
  if (best === undefined || loss < best.loss) return { best: { loss, step, since: 0 }, better: true };
  return { best: { ...best, since: best.since + 1 }, better: false };
}
