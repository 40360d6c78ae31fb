/**
 * Which of many candidate code words is best, for every scale at once.
 *
 * A code word with P = Σwxg and Q = Σwg² changes the error by s²Q − 2sP when used at the scale s > 0. Divided by s
 * that is a line in s, and the best words are the lower envelope of the lines: the corners of the upper left hull
 * of the points (Q, P), from the one with the largest P (best for s near 0) to the one with the least Q (best
 * for s → ∞). There are a dozen of them or two, so all further searches for scales only look at these.
 */

/** Candidate points, each with a number that says what it stands for. */
export interface Points {
  length: number;
  readonly p: Float64Array;
  readonly q: Float64Array;
  readonly payload: Int32Array;
}

export function newPoints(capacity: number): Points {
  return {
    length: 0,
    p: new Float64Array(capacity),
    q: new Float64Array(capacity),
    payload: new Int32Array(capacity),
  };
}

export function addPoint(points: Points, p: number, q: number, payload: number): void {
  const at = points.length++;
  points.p[at] = p;
  points.q[at] = q;
  points.payload[at] = payload;
}

/** Chains of points one after another: chain n is `starts[n]` up to `starts[n + 1]`, in the order of growing scales. */
export interface Chains extends Points {
  count: number;
  readonly starts: Int32Array;
  /** Scale from which a point is better than the one before it; 0 for the first of a chain. */
  readonly from: Float64Array;
}

export function newChains(count: number, capacity: number): Chains {
  return {
    ...newPoints(capacity),
    count: 0,
    starts: new Int32Array(count + 1),
    from: new Float64Array(capacity),
  };
}

export function clearChains(chains: Chains): void {
  chains.count = 0;
  chains.length = 0;
}

export function endChain(chains: Chains): void {
  chains.starts[++chains.count] = chains.length;
}

/** Payload of the best point of chain `n` at `scale`. */
export function payloadAt(chains: Chains, n: number, scale: number): number {
  let at = chains.starts[n]!;
  while (at + 1 < chains.starts[n + 1]! && chains.from[at + 1]! <= scale) {
    at++;
  }
  return chains.payload[at]!;
}

/** Appends the hull of `points`, of which there is at least one, to `chains` as a new chain. Reorders the points. */
export function appendHull(points: Points, chains: Chains): void {
  const { p, q, length } = points;
  let first = 0;
  let last = 0;
  for (let i = 1; i < length; i++) {
    if (p[i]! > p[first]! || (p[i]! === p[first]! && q[i]! < q[first]!)) {
      first = i;
    }
    if (q[i]! < q[last]! || (q[i]! === q[last]! && p[i]! > p[last]!)) {
      last = i;
    }
  }
  addPoint(chains, p[first]!, q[first]!, points.payload[first]!);
  chains.from[chains.length - 1] = 0;
  const pLast = p[last]!;
  const qLast = q[last]!;
  const payloadLast = points.payload[last]!;
  if (q[first]! > qLast) {
    hullBetween(points, 0, length, p[first]!, q[first]!, pLast, qLast, chains);
    appendCorner(chains, pLast, qLast, payloadLast);
  }
  endChain(chains);
}

function appendCorner(chains: Chains, p: number, q: number, payload: number): void {
  const at = chains.length;
  addPoint(chains, p, q, payload);
  chains.from[at] = (2 * (chains.p[at - 1]! - p)) / (chains.q[at - 1]! - q);
}

/**
 * Appends the corners of the hull strictly between the points A and B, which lie among those at
 * `start`..`end` − 1 (quickhull: the farthest point from the line AB is a corner, and splits the rest in two).
 */
function hullBetween(
  points: Points,
  start: number,
  end: number,
  pA: number,
  qA: number,
  pB: number,
  qB: number,
  chains: Chains,
): void {
  const { p, q, payload } = points;
  let farthest = -1;
  let distance = 0;
  for (let i = start; i < end; i++) {
    const above = (p[i]! - pB) * (qA - qB) - (q[i]! - qB) * (pA - pB);
    if (above > distance) {
      distance = above;
      farthest = i;
    }
  }
  // Rounding can put a repeated corner a hair above the line.
  if (farthest < 0 || !(q[farthest]! < qA && q[farthest]! > qB)) {
    return;
  }
  const pC = p[farthest]!;
  const qC = q[farthest]!;
  const corner = payload[farthest]!;
  const middle = gatherAbove(points, start, end, pA, qA, pC, qC);
  const stop = gatherAbove(points, middle, end, pC, qC, pB, qB);
  hullBetween(points, start, middle, pA, qA, pC, qC, chains);
  appendCorner(chains, pC, qC, corner);
  hullBetween(points, middle, stop, pC, qC, pB, qB, chains);
}

/** Moves the points above the line AB to the front of `start`..`end` − 1 and returns where they end. */
function gatherAbove(
  { p, q, payload }: Points,
  start: number,
  end: number,
  pA: number,
  qA: number,
  pB: number,
  qB: number,
): number {
  let front = start;
  for (let i = start; i < end; i++) {
    if ((p[i]! - pB) * (qA - qB) - (q[i]! - qB) * (pA - pB) > 0) {
      swap(p, i, front);
      swap(q, i, front);
      swap(payload, i, front);
      front++;
    }
  }
  return front;
}

function swap(array: Float64Array | Int32Array, i: number, j: number): void {
  const kept = array[i]!;
  array[i] = array[j]!;
  array[j] = kept;
}

/**
 * Appends to `target`, as one chain, the sums of `count` chains of `source` (`first`, `first + stride`, …): at every
 * scale the best point of each of them, added up. With `join`, payloads are added too, shifted by `join` bits
 * from chain to chain.
 */
export function appendSum(
  source: Chains,
  first: number,
  stride: number,
  count: number,
  join: number,
  target: Chains,
): void {
  let p = 0;
  let q = 0;
  let payload = 0;
  for (let n = 0; n < count; n++) {
    const at = source.starts[first + n * stride]!;
    heads[n] = at;
    p += source.p[at]!;
    q += source.q[at]!;
    payload += source.payload[at]! << (n * join);
  }
  addPoint(target, p, q, payload);
  target.from[target.length - 1] = 0;
  for (;;) {
    let next = -1;
    let from = Infinity;
    for (let n = 0; n < count; n++) {
      const at = heads[n]! + 1;
      if (at < source.starts[first + n * stride + 1]! && source.from[at]! < from) {
        from = source.from[at]!;
        next = n;
      }
    }
    if (next < 0) {
      break;
    }
    const at = ++heads[next]!;
    p += source.p[at]! - source.p[at - 1]!;
    q += source.q[at]! - source.q[at - 1]!;
    payload += (source.payload[at]! - source.payload[at - 1]!) << (next * join);
    addPoint(target, p, q, payload);
    target.from[target.length - 1] = from;
  }
  endChain(target);
}

const heads = new Int32Array(4);
