import { describe } from 'vitest';
import { kernelTables } from '../../quant/kernel-tables.js';
import {
  bestSimdBuild,
  compileKernels,
  instantiateKernels,
  type Kernels,
  type SimdBuild,
} from '../kernels.js';

/** From the slowest on. */
export const SIMD_BUILDS: readonly SimdBuild[] = ['plain', 'relaxed', 'dot'];

const best = await bestSimdBuild();

/** Whether this JavaScript engine and processor run a build, and its products are exact here. */
export function runsHere(build: SimdBuild): boolean {
  return SIMD_BUILDS.indexOf(build) <= SIMD_BUILDS.indexOf(best);
}

/** Tests for each build, skipped where the machine does not run it. */
export function describeBuilds(name: string, tests: (build: SimdBuild) => void): void {
  for (const build of SIMD_BUILDS) {
    const title = `${name}, ${build} SIMD`;
    if (runsHere(build)) describe(title, () => tests(build));
    else describe.skip(`${title} (not on this machine)`, () => tests(build));
  }
}

/** Kernels over a small memory of their own, with a bump allocator: what kernel tests run on. */
export class KernelBench {
  readonly kernels: Kernels;
  readonly u8: Uint8Array;
  readonly f32: Float32Array;
  #end: number;

  private constructor(kernels: Kernels, buffer: SharedArrayBuffer, end: number) {
    this.kernels = kernels;
    this.u8 = new Uint8Array(buffer);
    this.f32 = new Float32Array(buffer);
    this.#end = end;
  }

  static async create(build: SimdBuild, pages = 256): Promise<KernelBench> {
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    const tables = kernelTables();
    const start = 65_536;
    new Uint8Array(memory.buffer).set(tables, start);
    const kernels = instantiateKernels(await compileKernels(build), memory, start);
    return new KernelBench(kernels, memory.buffer, start + Math.ceil(tables.length / 64) * 64);
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

/** Pseudo-random floats in [-1, 1), the same for the same seed. */
export function randomFloats(count: number, seed: number): Float32Array {
  let state = seed >>> 0;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}
