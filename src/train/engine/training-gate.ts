import type { TrainKernels } from '../kernels.js';
import type { Tape, Value } from './tape.js';

/** silu(gate) × up, of products that nothing else reads. */
export function gateWithSilu(tape: Tape, kernels: TrainKernels, gate: Value, up: Value): Value {
  const inner = tape.value(gate.rows, gate.columns, gate.needs || up.needs);
  const [start, end] = tape.lane.share(gate.rows);
  const at = start * gate.columns * 4;
  const floats = (end - start) * gate.columns;
  for (const value of [gate, up]) tape.reads(value, value.rows);
  if (floats > 0) kernels.siluMultiply(gate.address + at, up.address + at, inner.address + at, floats);
  tape.record(() => {
    const dInner = inner.gradient;
    if (dInner === undefined) return;
    tape.reads(dInner, inner.rows);
    // They had none before, so the kernel may overwrite them.
    const dGate = tape.contribution(gate).address + at;
    const dUp = tape.contribution(up).address + at;
    if (floats === 0) return;
    const values = [gate.address + at, up.address + at, dInner.address + at] as const;
    kernels.siluMultiplyBackward(...values, dGate, dUp, floats);
  });
  return inner;
}
