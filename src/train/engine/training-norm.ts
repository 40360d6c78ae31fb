import type { TrainKernels } from '../kernels.js';
import type { Tape, Value } from './tape.js';

export interface Norm {
  /** Floats of each vector: a row's, or those of each head in it. */
  readonly size: number;
  /** Address of what normed vectors are multiplied with; 0: nothing. */
  readonly weight: number;
  /** That of its gradient, where it is trained; vectors are whole rows then. */
  readonly gradient: number | undefined;
  readonly eps: number;
}

/** Every vector of x divided by its root mean square. */
export function normalize(tape: Tape, kernels: TrainKernels, x: Value, norm: Norm): Value {
  const { lane } = tape;
  const { rmsNorm } = lane.home.kernels;
  const { size, weight, gradient, eps } = norm;
  const { rows, columns } = x;
  const y = tape.value(rows, columns, x.needs || gradient !== undefined);
  tape.reads(x, rows);
  const [start, end] = lane.share(rows).map((row) => row * columns * 4) as [number, number];
  for (let at = start; at < end; at += size * 4) rmsNorm(x.address + at, weight, y.address + at, size, eps);
  tape.record(() => {
    const dy = y.gradient;
    if (dy === undefined) return;
    if (gradient !== undefined) {
      tape.defer(() => {
        const [first, last] = lane.share(columns, 16);
        if (last <= first) return;
        kernels.rmsNormWeightBackward(x.address, dy.address, gradient, rows, columns, first, last, eps);
      });
    }
    if (!x.needs) return;
    tape.reads(dy, rows);
    const dx = tape.contribution(x);
    const accumulate = Number(dx.accumulate);
    for (let at = start; at < end; at += size * 4) {
      const [from, to] = [dy.address + at, dx.address + at];
      kernels.rmsNormBackward(x.address + at, weight, from, to, size, eps, accumulate);
    }
  });
  return y;
}
