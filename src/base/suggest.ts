/** The candidate nearest to `word` by edit distance, when it is near enough to be a likely slip of the fingers. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  const bare = stripDashes(word);
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(bare.length / 3)) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(bare, stripDashes(candidate));
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** `; did you mean 'X'?`, or nothing when no candidate is near. */
export function didYouMean(word: string, candidates: Iterable<string>): string {
  const suggestion = nearest(word, candidates);
  return suggestion === undefined ? '' : `; did you mean '${suggestion}'?`;
}

function stripDashes(text: string): string {
  return text.replace(/^-+/, '');
}

/** Levenshtein distance in which a swap of neighbours also counts once. */
function editDistance(a: string, b: string): number {
  let older: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      let distance = Math.min(change, previous[j]! + 1, current[j - 1]! + 1);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        distance = Math.min(distance, older[j - 2]! + 1);
      }
      current.push(distance);
    }
    older = previous;
    previous = current;
  }
  return previous[b.length]!;
}
