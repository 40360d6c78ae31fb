/** Natural logarithms of the probabilities, in double precision. */
export function logSoftmax(logits) {
  const max = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - max);
  return Float64Array.from(logits, (logit) => logit - max - Math.log(sum));
}

/**
 * How far distributions `a` are from `b`, both rows of log probabilities: the largest difference of one log
 * probability, the same among tokens that `b` gives at least 0.1 %, the mean KL divergence of `a` from `b` (all in
 * nats) and in how many rows the likeliest token is the same.
 */
export function compareRows(a, b) {
  let max = 0;
  let maxLikely = 0;
  let divergence = 0;
  let sameTop = 0;
  for (const [i, row] of a.entries()) {
    for (const [token, logProb] of row.entries()) {
      const other = b[i][token];
      const difference = Math.abs(logProb - other);
      if (!(difference <= max)) max = difference;
      if (other > Math.log(0.001) && !(difference <= maxLikely)) maxLikely = difference;
      divergence += Math.exp(other) * (other - logProb);
    }
    if (argmax(row) === argmax(b[i])) sameTop++;
  }
  const rounded = (x) => Number(x.toPrecision(4));
  return {
    maxDifference: rounded(max),
    maxDifferenceLikely: rounded(maxLikely),
    meanKld: rounded(divergence / a.length),
    sameTop: `${sameTop}/${a.length}`,
  };
}

export function argmax(row) {
  let best = 0;
  for (let i = 1; i < row.length; i++) if (row[i] > row[best]) best = i;
  return best;
}
