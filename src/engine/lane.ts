import type { Control } from './control.js';
import { instantiateKernels, type Kernels } from './kernels.js';

/** Computing this many floats takes about as long as a barrier. */
const UNDIVIDED_FLOATS = 8192;

/** One WebAssembly memory as a lane sees it: the kernels bound to it and views of its bytes. */
export interface Arena {
  readonly kernels: Kernels;
  readonly u8: Uint8Array;
  readonly f32: Float32Array;
  readonly f64: Float64Array;
  /** Address of this lane's own scratch space. */
  readonly scratch: number;
}

/** What a worker is given to build its lane; structured-cloneable. */
export interface LaneSetup {
  readonly module: WebAssembly.Module;
  readonly memories: readonly WebAssembly.Memory[];
  readonly tables: number;
  /** Address of the first lane's scratch, and bytes per lane; the same in every arena. */
  readonly scratch: number;
  readonly scratchBytes: number;
  readonly lanes: number;
}

/**
 * One of the threads that run the same program, each on its share of the work, meeting at barriers.
 */
export class Lane {
  readonly rank: number;
  readonly size: number;
  readonly arenas: readonly Arena[];
  readonly #control: Control;

  constructor(setup: LaneSetup, rank: number, control: Control) {
    this.rank = rank;
    this.size = setup.lanes;
    this.#control = control;
    this.arenas = setup.memories.map((memory) => ({
      kernels: instantiateKernels(setup.module, memory, setup.tables),
      u8: new Uint8Array(memory.buffer),
      f32: new Float32Array(memory.buffer),
      f64: new Float64Array(memory.buffer),
      scratch: setup.scratch + rank * setup.scratchBytes,
    }));
  }

  /** The arena that holds activations. */
  get home(): Arena {
    return this.arenas[0]!;
  }

  barrier(): void {
    if (this.size > 1) this.#control.barrier();
  }

  /**
   * Whether an operation on `floats` floats is worth dividing. A smaller one every lane does in full and goes on without
   * a barrier: they write the same bytes to the same places, so each may read what itself has written. It must not
   * read what it writes.
   */
  divides(floats: number): boolean {
    return this.size > 1 && floats > UNDIVIDED_FLOATS;
  }

  /** This lane's part of `count` items as [start, end); parts are multiples of `multiple` but for the last. */
  share(count: number, multiple = 1): [start: number, end: number] {
    const units = Math.ceil(count / multiple);
    const start = Math.floor((units * this.rank) / this.size) * multiple;
    const end = Math.floor((units * (this.rank + 1)) / this.size) * multiple;
    return [start, Math.min(end, count)];
  }
}

/** A program that every lane runs. The module named by the pool exports `createProgram` with this shape. */
export interface Program {
  /** Runs one step; `command` holds what the main thread wrote for it. */
  step(command: Int32Array): void;
}

export type CreateProgram = (lane: Lane, init: unknown) => Program;
