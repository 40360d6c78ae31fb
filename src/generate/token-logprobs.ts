export interface TokenLogprob {
  readonly id: number;
  /** Natural logarithm of the probability. */
  readonly logprob: number;
}

export interface TokenLogprobs {
  /** Of the token itself. */
  readonly logprob: number;
  /** The likeliest tokens in its place, in order. */
  readonly top: readonly TokenLogprob[];
}

/** How likely a row of logits makes token `id`, and its `count` likeliest tokens; of equals the lower id first. Pure. */
export function tokenLogprobs(logits: Float32Array, id: number, count: number): TokenLogprobs {
  let largest = -Infinity;
  for (const logit of logits) if (logit > largest) largest = logit;
  let sum = 0;
  for (const logit of logits) sum += Number.isNaN(logit) ? 0 : Math.exp(logit - largest);
  const offset = largest + Math.log(sum);

  const top: number[] = [];
  for (let i = 0; i < logits.length && count > 0; i++) {
    if (top.length === count && !(logits[i]! > logits[top.at(-1)!]!)) continue;
    if (Number.isNaN(logits[i]!)) continue;
    let at = top.length;
    while (at > 0 && logits[i]! > logits[top[at - 1]!]!) at--;
    top.splice(at, 0, i);
    if (top.length > count) top.pop();
  }
  return {
    logprob: logits[id]! - offset,
    top: top.map((other) => ({ id: other, logprob: logits[other]! - offset })),
  };
}
