/**
 * Unbiased estimate, from `n` samples of which `c` passed, of the chance that at least one of `k` passes:
 * 1 − C(n−c, k) / C(n, k), as in "Evaluating Large Language Models Trained on Code" (Chen et al., 2021).
 * `k` is at most `n`.
 */
export function passAtK(n: number, c: number, k: number): number {
  if (n - c < k) return 1;
  let noneOfThem = 1;
  for (let i = n - c + 1; i <= n; i++) noneOfThem *= 1 - k / i;
  return 1 - noneOfThem;
}
