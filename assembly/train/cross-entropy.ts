import { expOf4, prepareExp } from './exp';
import { logarithm } from './logarithm';

/** Four floats from `at`, those from the `count`th on replaced by −∞. */
@inline
function loadTail(at: usize, count: i32): v128 {
  let v = f32x4.splat(-Infinity);
  v = f32x4.replace_lane(v, 0, load<f32>(at));
  if (count > 1) v = f32x4.replace_lane(v, 1, load<f32>(at, 4));
  if (count > 2) v = f32x4.replace_lane(v, 2, load<f32>(at, 8));
  return v;
}

@inline
function storeTail(at: usize, count: i32, v: v128): void {
  store<f32>(at, f32x4.extract_lane(v, 0));
  if (count > 1) store<f32>(at, f32x4.extract_lane(v, 1), 4);
  if (count > 2) store<f32>(at, f32x4.extract_lane(v, 2), 8);
}

@inline
function sumInDouble(v: v128): v128 {
  const upper = v128.shuffle<i32>(v, v, 2, 3, 0, 1);
  return f64x2.add(f64x2.promote_low_f32x4(v), f64x2.promote_low_f32x4(upper));
}

/**
 * −log softmax(logits)[target]; the logits become its gradient × gradientScale. Any vocab from 1 on. The sum of
 * exponentials is kept in double precision, so that long vocabularies cost no digits.
 */
export function crossEntropy(logits: usize, target: i32, gradientScale: f32, vocab: i32): f64 {
  const wanted = load<f32>(logits + (<usize>target << 2));
  const tail = vocab & 3;
  const vectors = vocab >> 2;
  const end = <usize>vectors << 4;

  let highest = f32x4.splat(-Infinity);
  let highest1 = highest, highest2 = highest, highest3 = highest;
  let at: usize = 0;
  for (; at + 64 <= end; at += 64) {
    highest = f32x4.pmax(highest, v128.load(logits + at));
    highest1 = f32x4.pmax(highest1, v128.load(logits + at, 16));
    highest2 = f32x4.pmax(highest2, v128.load(logits + at, 32));
    highest3 = f32x4.pmax(highest3, v128.load(logits + at, 48));
  }
  for (; at < end; at += 16) highest = f32x4.pmax(highest, v128.load(logits + at));
  highest = f32x4.pmax(f32x4.pmax(highest, highest1), f32x4.pmax(highest2, highest3));
  if (tail > 0) highest = f32x4.pmax(highest, loadTail(logits + end, tail));
  const pairs = f32x4.pmax(highest, v128.shuffle<i32>(highest, highest, 2, 3, 0, 1));
  const largest = max(f32x4.extract_lane(pairs, 0), f32x4.extract_lane(pairs, 1));

  prepareExp();
  const shift = f32x4.splat(largest);
  let sums = f64x2.splat(0);
  for (let i: usize = 0; i < end; i += 16) {
    const e = expOf4(f32x4.sub(v128.load(logits + i), shift));
    v128.store(logits + i, e);
    sums = f64x2.add(sums, sumInDouble(e));
  }
  let total = f64x2.extract_lane(sums, 0) + f64x2.extract_lane(sums, 1);
  for (let j: i32 = 0; j < tail; j++) {
    const last = logits + end + (<usize>j << 2);
    const e = f32x4.extract_lane(expOf4(f32x4.splat(load<f32>(last) - largest)), 0);
    store<f32>(last, e);
    total += <f64>e;
  }

  const factor = f32x4.splat(<f32>(<f64>gradientScale / total));
  for (let i: usize = 0; i < end; i += 16) v128.store(logits + i, f32x4.mul(v128.load(logits + i), factor));
  if (tail > 0) storeTail(logits + end, tail, f32x4.mul(loadTail(logits + end, tail), factor));
  const hit = logits + (<usize>target << 2);
  store<f32>(hit, load<f32>(hit) - gradientScale);
  return logarithm(total) + <f64>largest - <f64>wanted;
}
