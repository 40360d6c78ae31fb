// Grids of code words, and the word of a grid nearest to some weights.
import { float, setFloat, sumFour, sumLanes } from './block';

/**
 * Weights that are rounded one by one make a pattern. The words that can be nearest to the weights are mostly among
 * those nearest to their pattern, which are listed when a pattern is first met.
 */
@unmanaged
export class Grid {
  /** Weights per word: 8 of three levels, or 4 of eight. */
  size: i32;
  count: i32;
  levelCount: i32;
  /** f32[levelCount], ascending. */
  levels: usize;
  /** f32[count][size] */
  words: usize;
  /** u16[patterns][listed]; the first is `UNKNOWN` until the pattern is met. */
  lists: usize;
  /** Words per list, a multiple of four. */
  listed: i32;
}

const UNKNOWN: u16 = 0xffff;

/** @param entries i8[count][size] */
export function newGrid(entries: usize, count: i32, size: i32, listed: i32): Grid {
  const grid = changetype<Grid>(heap.alloc(offsetof<Grid>()));
  grid.size = size;
  grid.count = count;
  grid.listed = listed;
  grid.words = heap.alloc(<usize>(count * size) << 2);
  for (let i: usize = 0; i < <usize>(count * size); i++) {
    store<f32>(grid.words + (i << 2), <f32>load<i8>(entries + i));
  }
  grid.levels = heap.alloc(32);
  grid.levelCount = 0;
  for (let level = -128; level < 128; level++) {
    let found = false;
    for (let i: usize = 0; i < <usize>(count * size) && !found; i++) found = <i32>load<i8>(entries + i) == level;
    if (!found) continue;
    setFloat(grid.levels, grid.levelCount, <f32>level);
    grid.levelCount++;
  }
  const bytes = <usize>((size == 8 ? 6561 : 4096) * listed) << 1;
  grid.lists = heap.alloc(bytes);
  memory.fill(grid.lists, 0xff, bytes);
  return grid;
}

const point = memory.data(32, 16);
const distances = memory.data(256, 16);

/** Lists the words nearest to a pattern, the nearest first. */
function fillList(grid: Grid, pattern: i32, list: usize): void {
  const size = <usize>grid.size;
  const listed = grid.listed;
  let rest = pattern;
  for (let i: usize = 0; i < size; i++) {
    store<f32>(point + (i << 2), load<f32>(grid.levels + (<usize>(rest % grid.levelCount) << 2)));
    rest /= grid.levelCount;
  }
  let length = 0;
  for (let word = 0; word < grid.count; word++) {
    const values = grid.words + ((<usize>word * size) << 2);
    const difference = f32x4.sub(v128.load(values), v128.load(point));
    let squares = f32x4.mul(difference, difference);
    if (size == 8) {
      const others = f32x4.sub(v128.load(values, 16), v128.load(point, 16));
      squares = f32x4.add(squares, f32x4.mul(others, others));
    }
    const distance = sumLanes(squares);
    if (length < listed) length++;
    else if (distance >= float(distances, listed - 1)) continue;
    let at = length - 1;
    for (; at > 0 && float(distances, at - 1) > distance; at--) {
      setFloat(distances, at, float(distances, at - 1));
      store<u16>(list + (<usize>at << 1), load<u16>(list + (<usize>(at - 1) << 1)));
    }
    setFloat(distances, at, distance);
    store<u16>(list + (<usize>at << 1), <u16>word);
  }
}

@inline
function listOf(grid: Grid, pattern: i32): usize {
  const list = grid.lists + (<usize>(pattern * grid.listed) << 1);
  if (load<u16>(list) == UNKNOWN) fillList(grid, pattern, list);
  return list;
}

@inline
function least(costs: v128, words: v128): i32 {
  let cost = f32x4.extract_lane(costs, 0);
  let word = i32x4.extract_lane(words, 0);
  const c1 = f32x4.extract_lane(costs, 1);
  word = select(i32x4.extract_lane(words, 1), word, c1 < cost);
  cost = select(c1, cost, c1 < cost);
  const c2 = f32x4.extract_lane(costs, 2);
  word = select(i32x4.extract_lane(words, 2), word, c2 < cost);
  cost = select(c2, cost, c2 < cost);
  return select(i32x4.extract_lane(words, 3), word, f32x4.extract_lane(costs, 3) < cost);
}

@inline
function octetCost(word: usize, slope0: v128, slope1: v128, w0: v128, w1: v128): v128 {
  const g0 = v128.load(word);
  const g1 = v128.load(word, 16);
  return f32x4.add(
    f32x4.mul(g0, f32x4.sub(f32x4.mul(w0, g0), slope0)),
    f32x4.mul(g1, f32x4.sub(f32x4.mul(w1, g1), slope1)),
  );
}

/** Number of the word g with the least Σw(x − g)²: of those listed for the pattern of x. */
@inline
export function nearestOctet(grid: Grid, x0: v128, x1: v128, w0: v128, w1: v128): i32 {
  const first = load<f32>(grid.levels);
  const second = load<f32>(grid.levels + 4);
  const lower = f32x4.splat((first + second) / 2);
  const upper = f32x4.splat((second + load<f32>(grid.levels + 8)) / 2);
  const places0 = f32x4(1, 3, 9, 27);
  const places1 = f32x4(81, 243, 729, 2187);
  const digits = f32x4.add(
    f32x4.add(v128.and(f32x4.ge(x0, lower), places0), v128.and(f32x4.ge(x0, upper), places0)),
    f32x4.add(v128.and(f32x4.ge(x1, lower), places1), v128.and(f32x4.ge(x1, upper), places1)),
  );
  const list = listOf(grid, patternOf(digits));
  const slope0 = f32x4.mul(w0, f32x4.add(x0, x0));
  const slope1 = f32x4.mul(w1, f32x4.add(x1, x1));
  let bestCosts = f32x4.splat(Infinity);
  let bestWords = i32x4.splat(0);
  const end = list + (<usize>grid.listed << 1);
  for (let at = list; at < end; at += 8) {
    const costs = sumFour(
      octetCost(grid.words + (<usize>load<u16>(at) << 5), slope0, slope1, w0, w1),
      octetCost(grid.words + (<usize>load<u16>(at, 2) << 5), slope0, slope1, w0, w1),
      octetCost(grid.words + (<usize>load<u16>(at, 4) << 5), slope0, slope1, w0, w1),
      octetCost(grid.words + (<usize>load<u16>(at, 6) << 5), slope0, slope1, w0, w1),
    );
    const better = f32x4.lt(costs, bestCosts);
    bestCosts = v128.bitselect(costs, bestCosts, better);
    bestWords = v128.bitselect(v128.load_ext<u16>(at), bestWords, better);
  }
  return least(bestCosts, bestWords);
}

@inline
function quadCost(word: usize, slope: v128, w: v128): v128 {
  const g = v128.load(word);
  return f32x4.mul(g, f32x4.sub(f32x4.mul(w, g), slope));
}

/** The same for a word of four weights. */
@inline
export function nearestQuad(grid: Grid, x: v128, w: v128): i32 {
  const first = load<f32>(grid.levels);
  const step = load<f32>(grid.levels + 4) - first;
  const codes = f32x4.nearest(f32x4.mul(f32x4.sub(x, f32x4.splat(first)), f32x4.splat(1 / step)));
  const inside = f32x4.pmin(f32x4.pmax(codes, f32x4.splat(0)), f32x4.splat(7));
  const list = listOf(grid, patternOf(f32x4.mul(inside, f32x4(1, 8, 64, 512))));
  const slope = f32x4.mul(w, f32x4.add(x, x));
  let bestCosts = f32x4.splat(Infinity);
  let bestWords = i32x4.splat(0);
  const end = list + (<usize>grid.listed << 1);
  for (let at = list; at < end; at += 8) {
    const costs = sumFour(
      quadCost(grid.words + (<usize>load<u16>(at) << 4), slope, w),
      quadCost(grid.words + (<usize>load<u16>(at, 2) << 4), slope, w),
      quadCost(grid.words + (<usize>load<u16>(at, 4) << 4), slope, w),
      quadCost(grid.words + (<usize>load<u16>(at, 6) << 4), slope, w),
    );
    const better = f32x4.lt(costs, bestCosts);
    bestCosts = v128.bitselect(costs, bestCosts, better);
    bestWords = v128.bitselect(v128.load_ext<u16>(at), bestWords, better);
  }
  return least(bestCosts, bestWords);
}

/** Sum of the lanes, which are whole numbers. */
@inline
function patternOf(digits: v128): i32 {
  // Added to 2^23, a whole number stands in the low bits.
  const pairs = f32x4.add(digits, v128.shuffle<f32>(digits, digits, 2, 3, 0, 1));
  const sum = f32x4.extract_lane(pairs, 0) + f32x4.extract_lane(pairs, 1);
  return reinterpret<i32>(sum + <f32>8388608) & 0x7fffff;
}
