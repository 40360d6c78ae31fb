/** Which expert each row of the gathered expert input belongs to, and whose token it is. */
export interface Routing {
  /** Token of each row; rows are sorted by expert, then by token. */
  readonly tokens: Int32Array;
  /** Sigmoid of the router's logit: what the row's input is multiplied with. */
  readonly scores: Float32Array;
  /** Rows [starts[e], starts[e + 1]) go to expert e. */
  readonly starts: Int32Array;
}

/**
 * Picks the `used` experts with the highest raw logits for each token (ties: the lower index, as torch.topk does on
 * CPU for distinct values) and groups the choices by expert.
 * @param logits [tokens][experts]
 */
export function routeTokens(logits: Float32Array, tokens: number, experts: number, used: number): Routing {
  const chosen = new Int32Array(tokens * used);
  const starts = new Int32Array(experts + 1);
  const taken = new Uint8Array(experts);
  for (let t = 0; t < tokens; t++) {
    taken.fill(0);
    for (let k = 0; k < used; k++) {
      let best = -1;
      for (let e = 0; e < experts; e++) {
        if (taken[e] === 0 && (best < 0 || logits[t * experts + e]! > logits[t * experts + best]!)) best = e;
      }
      taken[best] = 1;
      chosen[t * used + k] = best;
      starts[best + 1]!++;
    }
  }
  for (let e = 0; e < experts; e++) starts[e + 1]! += starts[e]!;
  const next = starts.slice();
  const rows = new Int32Array(tokens * used);
  const scores = new Float32Array(tokens * used);
  for (let i = 0; i < chosen.length; i++) {
    const expert = chosen[i]!;
    const token = Math.floor(i / used);
    const row = next[expert]!++;
    rows[row] = token;
    scores[row] = 1 / (1 + Math.exp(-logits[token * experts + expert]!));
  }
  return { tokens: rows, scores, starts };
}
