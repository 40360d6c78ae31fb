import { describe } from 'vitest';
import { runsHere } from '../../engine/testing/kernel-bench.js';
import {
  compileTrainKernels,
  instantiateTrainKernels,
  type TrainBuild,
  type TrainKernels,
} from '../kernels.js';

/** Tests for both builds, skipped where the machine does not run one. */
export function describeTrainBuilds(name: string, tests: (build: TrainBuild) => void): void {
  for (const build of ['plain', 'relaxed'] as const) {
    describe.skipIf(!runsHere(build))(`${name}, ${build} SIMD`, () => tests(build));
  }
}

/** Training kernels over a small memory of their own that is emptied with `reset`. */
export class TrainBench {
  readonly kernels: TrainKernels;
  readonly u8: Uint8Array;
  readonly f32: Float32Array;
  /** Enough for every kernel. */
  readonly scratch: number;
  readonly #start: number;
  #end: number;

  private constructor(kernels: TrainKernels, buffer: SharedArrayBuffer) {
    this.kernels = kernels;
    this.u8 = new Uint8Array(buffer);
    this.f32 = new Float32Array(buffer);
    this.#end = 65_536;
    this.scratch = this.allocate(kernels.attentionScratchBytes());
    // What a kernel leaves in its scratch, or finds there, must not matter.
    this.f32.fill(Number.NaN, this.scratch / 4, this.#end / 4);
    this.#start = this.#end;
  }

  static async create(build: TrainBuild, pages = 256): Promise<TrainBench> {
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    return new TrainBench(instantiateTrainKernels(await compileTrainKernels(build), memory), memory.buffer);
  }

  reset(): void {
    this.#end = this.#start;
  }

  allocate(bytes: number): number {
    const address = this.#end;
    this.#end += Math.ceil(bytes / 64) * 64;
    if (this.#end > this.u8.length) throw new Error('the bench memory is full');
    return address;
  }

  bytes(values: Uint8Array): number {
    const address = this.allocate(values.length);
    this.u8.set(values, address);
    return address;
  }

  floats(values: ArrayLike<number>): number {
    const address = this.allocate(values.length * 4);
    this.f32.set(values, address / 4);
    return address;
  }

  read(address: number, count: number): Float32Array {
    return this.f32.slice(address / 4, address / 4 + count);
  }
}

/** The greatest difference between numbers found and expected, relative to the greatest expected (at least `least`). */
export function largestError(found: ArrayLike<number>, expected: ArrayLike<number>, least = 1e-3): number {
  let error = 0;
  let scale = least;
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs(found[i]! - expected[i]!);
    error = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : Math.max(error, difference);
    scale = Math.max(scale, Math.abs(expected[i]!));
  }
  return error / scale;
}

/** ∂f/∂x[i] for every i, by central differences in double precision. */
export function numericGradient(
  f: (x: Float64Array) => number,
  x: ArrayLike<number>,
  step = 1e-4,
): Float64Array {
  const at = Float64Array.from(x);
  return Float64Array.from(at, (value, i) => {
    at[i] = value + step;
    const above = f(at);
    at[i] = value - step;
    const below = f(at);
    at[i] = value;
    return (above - below) / (2 * step);
  });
}
