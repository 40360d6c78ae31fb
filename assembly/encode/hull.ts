// Candidate points and the chains of best ones: see src/quant/encode/hull.ts.

@unmanaged
export class Points {
  length: i32;
  p: usize;
  q: usize;
  payload: usize;
}

@unmanaged
export class Chains extends Points {
  count: i32;
  starts: usize;
  from: usize;
}

export function newPoints(capacity: i32): Points {
  const points = changetype<Points>(heap.alloc(offsetof<Points>()));
  points.length = 0;
  points.p = heap.alloc(<usize>capacity << 3);
  points.q = heap.alloc(<usize>capacity << 3);
  points.payload = heap.alloc(<usize>capacity << 2);
  return points;
}

export function newChains(count: i32, capacity: i32): Chains {
  const chains = changetype<Chains>(heap.alloc(offsetof<Chains>()));
  chains.p = heap.alloc(<usize>capacity << 3);
  chains.q = heap.alloc(<usize>capacity << 3);
  chains.payload = heap.alloc(<usize>capacity << 2);
  chains.starts = heap.alloc(<usize>(count + 1) << 2);
  chains.from = heap.alloc(<usize>capacity << 3);
  clearChains(chains);
  return chains;
}

export function clearChains(chains: Chains): void {
  chains.count = 0;
  chains.length = 0;
  store<i32>(chains.starts, 0);
}

// @ts-ignore: decorator
@inline
export function double(array: usize, at: i32): f64 {
  return load<f64>(array + (<usize>at << 3));
}

// @ts-ignore: decorator
@inline
export function int(array: usize, at: i32): i32 {
  return load<i32>(array + (<usize>at << 2));
}

// @ts-ignore: decorator
@inline
export function addPoint(points: Points, p: f64, q: f64, payload: i32): void {
  const at = <usize>points.length;
  points.length++;
  store<f64>(points.p + (at << 3), p);
  store<f64>(points.q + (at << 3), q);
  store<i32>(points.payload + (at << 2), payload);
}

function addFrom(chains: Chains, from: f64): void {
  store<f64>(chains.from + (<usize>(chains.length - 1) << 3), from);
}

function endChain(chains: Chains): void {
  chains.count++;
  store<i32>(chains.starts + (<usize>chains.count << 2), chains.length);
}

export function chainStart(chains: Chains, n: i32): i32 {
  return int(chains.starts, n);
}

export function payloadAt(chains: Chains, n: i32, scale: f64): i32 {
  let at = chainStart(chains, n);
  const end = chainStart(chains, n + 1);
  while (at + 1 < end && double(chains.from, at + 1) <= scale) at++;
  return int(chains.payload, at);
}

export function appendHull(points: Points, chains: Chains): void {
  const p = points.p;
  const q = points.q;
  const length = points.length;
  let pFirst = double(p, 0);
  let qFirst = double(q, 0);
  let pLast = pFirst;
  let qLast = qFirst;
  let first = 0;
  let last = 0;
  for (let i = 1; i < length; i++) {
    const pi = double(p, i);
    const qi = double(q, i);
    if (pi > pFirst || (pi == pFirst && qi < qFirst)) {
      first = i;
      pFirst = pi;
      qFirst = qi;
    }
    if (qi < qLast || (qi == qLast && pi > pLast)) {
      last = i;
      pLast = pi;
      qLast = qi;
    }
  }
  const payloadLast = int(points.payload, last);
  addPoint(chains, pFirst, qFirst, int(points.payload, first));
  addFrom(chains, 0);
  if (qFirst > qLast) {
    hullBetween(points, 0, length, pFirst, qFirst, pLast, qLast, chains);
    appendCorner(chains, pLast, qLast, payloadLast);
  }
  endChain(chains);
}

function appendCorner(chains: Chains, p: f64, q: f64, payload: i32): void {
  const before = chains.length - 1;
  const from = (2 * (double(chains.p, before) - p)) / (double(chains.q, before) - q);
  addPoint(chains, p, q, payload);
  addFrom(chains, from);
}

function hullBetween(
  points: Points, start: i32, end: i32, pA: f64, qA: f64, pB: f64, qB: f64, chains: Chains,
): void {
  const p = points.p;
  const q = points.q;
  const width = qA - qB;
  const height = pA - pB;
  let farthest = -1;
  let distance: f64 = 0;
  for (let i = start; i < end; i++) {
    const above = (double(p, i) - pB) * width - (double(q, i) - qB) * height;
    if (above > distance) {
      distance = above;
      farthest = i;
    }
  }
  if (farthest < 0) return;
  const pC = double(p, farthest);
  const qC = double(q, farthest);
  if (!(qC < qA && qC > qB)) return;
  const corner = int(points.payload, farthest);
  const middle = gatherAbove(points, start, end, pA, qA, pC, qC);
  const stop = gatherAbove(points, middle, end, pC, qC, pB, qB);
  hullBetween(points, start, middle, pA, qA, pC, qC, chains);
  appendCorner(chains, pC, qC, corner);
  hullBetween(points, middle, stop, pC, qC, pB, qB, chains);
}

function gatherAbove(points: Points, start: i32, end: i32, pA: f64, qA: f64, pB: f64, qB: f64): i32 {
  const p = points.p;
  const q = points.q;
  const width = qA - qB;
  const height = pA - pB;
  let front = start;
  for (let i = start; i < end; i++) {
    if ((double(p, i) - pB) * width - (double(q, i) - qB) * height > 0) {
      swap<f64>(p, i, front);
      swap<f64>(q, i, front);
      swap<i32>(points.payload, i, front);
      front++;
    }
  }
  return front;
}

// @ts-ignore: decorator
@inline
function swap<T>(array: usize, i: i32, j: i32): void {
  const a = array + <usize>i * sizeof<T>();
  const b = array + <usize>j * sizeof<T>();
  const kept = load<T>(a);
  store<T>(a, load<T>(b));
  store<T>(b, kept);
}

const heads = memory.data(16, 16);

export function appendSum(
  source: Chains, first: i32, stride: i32, count: i32, join: i32, target: Chains,
): void {
  let p: f64 = 0;
  let q: f64 = 0;
  let payload = 0;
  for (let n = 0; n < count; n++) {
    const at = chainStart(source, first + n * stride);
    store<i32>(heads + (<usize>n << 2), at);
    p += double(source.p, at);
    q += double(source.q, at);
    payload += int(source.payload, at) << (n * join);
  }
  addPoint(target, p, q, payload);
  addFrom(target, 0);
  for (;;) {
    let next = -1;
    let from = Infinity;
    for (let n = 0; n < count; n++) {
      const at = int(heads, n) + 1;
      if (at < chainStart(source, first + n * stride + 1) && double(source.from, at) < from) {
        from = double(source.from, at);
        next = n;
      }
    }
    if (next < 0) break;
    const at = int(heads, next) + 1;
    store<i32>(heads + (<usize>next << 2), at);
    p += double(source.p, at) - double(source.p, at - 1);
    q += double(source.q, at) - double(source.q, at - 1);
    payload += (int(source.payload, at) - int(source.payload, at - 1)) << (next * join);
    addPoint(target, p, q, payload);
    addFrom(target, from);
  }
  endChain(target);
}
