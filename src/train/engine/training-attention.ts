import type { Llama4Config } from '../../convert/llama4-config.js';
import { chunkOf } from '../../model/layout.js';
import type { TrainKernels } from '../kernels.js';
import { MIXED, type Tape, type Value } from './tape.js';

interface Inputs {
  readonly q: Value;
  readonly k: Value;
  readonly v: Value;
}

/** One key/value head of a sequence: what a lane does at once. */
interface Unit {
  readonly first: number;
  readonly tokens: number;
  readonly head: number;
}

/** Causal attention within sequences, and chunks of layer `index`. @param scratch for the kernels */
export function attendForTraining(
  tape: Tape,
  kernels: TrainKernels,
  scratch: number,
  config: Llama4Config,
  index: number,
  { q, k, v }: Inputs,
  sequences: Int32Array,
): Value {
  const { headDim, headCount, headCountKv } = config;
  const heads = headCount / headCountKv;
  const chunk = chunkOf(config, index);
  const needs = q.needs || k.needs || v.needs;
  const out = tape.value(q.rows, q.columns, needs);
  const logSums = tape.allocate(q.rows * headCount * 4);
  const units = ownUnits(tape.lane.size, tape.lane.rank, sequences, headCountKv);
  for (const value of [q, k, v]) tape.reads(value);
  const queriesAt = ({ first, head }: Unit) => (first * q.columns + head * heads * headDim) * 4;
  const keysAt = ({ first, head }: Unit) => (first * k.columns + head * headDim) * 4;
  const sumsAt = ({ first, tokens, head }: Unit) => logSums + (first * headCount + head * heads * tokens) * 4;
  for (const unit of units) {
    const [queries, keys] = [queriesAt(unit), keysAt(unit)];
    kernels.attentionForward(
      q.address + queries,
      q.columns,
      k.address + keys,
      v.address + keys,
      k.columns,
      out.address + queries,
      sumsAt(unit),
      heads,
      unit.tokens,
      headDim,
      chunk,
      scratch,
    );
  }
  tape.wrote(out, MIXED);
  tape.record(() => {
    const dOut = out.gradient;
    if (dOut === undefined || !needs) return;
    tape.reads(dOut);
    const [dq, dk, dv] = [q, k, v].map((value) => tape.contribution(value).address) as [
      number,
      number,
      number,
    ];
    for (const unit of units) {
      const [queries, keys] = [queriesAt(unit), keysAt(unit)];
      kernels.attentionBackward(
        q.address + queries,
        q.columns,
        k.address + keys,
        v.address + keys,
        k.columns,
        out.address + queries,
        dOut.address + queries,
        sumsAt(unit),
        dq + queries,
        dk + keys,
        dv + keys,
        heads,
        unit.tokens,
        headDim,
        chunk,
        scratch,
      );
    }
    for (const value of [q, k, v]) tape.wrote(value.gradient!, MIXED);
  });
  return out;
}

/** This lane's units: the longest first, each to the lane with the least to do. */
function ownUnits(lanes: number, rank: number, sequences: Int32Array, heads: number): Unit[] {
  const units: Unit[] = [];
  for (let first = 0; first < sequences.length; ) {
    let end = first + 1;
    while (end < sequences.length && sequences[end] === sequences[first]) end++;
    for (let head = 0; head < heads; head++) units.push({ first, tokens: end - first, head });
    first = end;
  }
  units.sort((a, b) => b.tokens - a.tokens || a.first - b.first || a.head - b.head);
  const loads = new Array<number>(lanes).fill(0);
  return units.filter(({ tokens }) => {
    const lane = loads.indexOf(Math.min(...loads));
    // Scores, and the memory that passes by.
    loads[lane]! += tokens * (tokens + 64);
    return lane === rank;
  });
}
