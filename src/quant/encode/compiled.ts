import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { CriaError } from '../../base/errors.js';
import { type GgmlType, ggmlType } from '../../formats/ggml-types.js';
import { IQ1S_GRID, IQ2S_GRID, IQ2XS_GRID, IQ2XXS_GRID, IQ3S_GRID, IQ3XXS_GRID } from '../codebooks.js';
import { checkWeights, type Encode, normalizedImportance } from './block-encoder.js';

const require = createRequire(import.meta.url);

/** Exports of the compiled encoders (assembly/encode) beside those of the types. Addresses are byte offsets in `memory`. */
interface Exports {
  readonly memory: WebAssembly.Memory;
  allocate(bytes: number): number;
}

/** Encodes one block of weights, floats of which the importances are positive: the export `encode` + type. */
type BlockEncoder = (source: number, importances: number, target: number) => void;
/** Takes the grid of a lattice type, i8[entries, 4 or 8], before its first block: the export `setGrid` + type. */
type GridSetter = (entries: number) => void;

/** The grid of each compiled type that has one. */
const GRIDS = {
  Q4_0: undefined,
  Q4_1: undefined,
  Q5_0: undefined,
  Q5_1: undefined,
  Q2_K: undefined,
  Q3_K: undefined,
  Q4_K: undefined,
  Q5_K: undefined,
  Q6_K: undefined,
  IQ1_S: IQ1S_GRID,
  IQ1_M: IQ1S_GRID,
  IQ2_XXS: IQ2XXS_GRID,
  IQ2_XS: IQ2XS_GRID,
  IQ2_S: IQ2S_GRID,
  IQ3_XXS: IQ3XXS_GRID,
  IQ3_S: IQ3S_GRID,
  IQ4_NL: undefined,
  IQ4_XS: undefined,
} as const satisfies { [type in GgmlType]?: Int8Array | undefined };

export type CompiledType = keyof typeof GRIDS;
export const COMPILED_TYPES = Object.keys(GRIDS) as CompiledType[];

/** Weights that pass into WebAssembly at a time: a multiple of every block size. */
const CHUNK = 8192;

/** The thread's own instance, made on first use: tables and code take megabytes, and most programs encode nothing. */
let instance: ReturnType<typeof instantiate> | undefined;

/** Encodes rows in WebAssembly; the bytes are the same on every machine. */
export function compiledEncoder(type: CompiledType): Encode {
  const { blockSize, typeSize } = ggmlType(type);
  let encodeBlock: BlockEncoder | undefined;
  return (source, target, columns, importance) => {
    checkWeights(type, source, target, columns);
    const importances = importance
      ? normalizedImportance(importance, columns)
      : new Float32Array(columns).fill(1);
    instance ??= instantiate();
    encodeBlock ??= instance.blockEncoder(type);
    const { buffer, sourceAt, importancesAt, targetAt } = instance.buffers();
    const values = new Float32Array(buffer, sourceAt, CHUNK);
    const weights = new Float32Array(buffer, importancesAt, CHUNK);
    const bytes = new Uint8Array(buffer, targetAt, (CHUNK / blockSize) * typeSize);
    let written = 0;
    for (let row = 0; row < source.length; row += columns) {
      for (let column = 0; column < columns; column += CHUNK) {
        const end = Math.min(column + CHUNK, columns);
        values.set(source.subarray(row + column, row + end));
        weights.set(importances.subarray(column, end));
        const blocks = (end - column) / blockSize;
        for (let block = 0; block < blocks; block++) {
          const at = block * blockSize * Float32Array.BYTES_PER_ELEMENT;
          encodeBlock(sourceAt + at, importancesAt + at, targetAt + block * typeSize);
        }
        target.set(bytes.subarray(0, blocks * typeSize), written);
        written += blocks * typeSize;
      }
    }
  };
}

function instantiate() {
  const module = new WebAssembly.Module(readFileSync(require.resolve('#encoders')));
  const { exports } = new WebAssembly.Instance(module, { env: { abort: outOfMemory } });
  const { memory, allocate } = exports as unknown as Exports;
  const sourceAt = allocate(CHUNK * Float32Array.BYTES_PER_ELEMENT);
  const importancesAt = allocate(CHUNK * Float32Array.BYTES_PER_ELEMENT);
  // No type takes more than two bytes per weight.
  const targetAt = allocate(2 * CHUNK);
  return {
    /** The memory may have grown since the last call, which leaves views of it empty. */
    buffers: () => ({ buffer: memory.buffer, sourceAt, importancesAt, targetAt }),
    blockEncoder(type: CompiledType): BlockEncoder {
      const grid = GRIDS[type];
      if (grid) {
        const at = allocate(grid.length);
        new Int8Array(memory.buffer).set(grid, at);
        (exports[`setGrid${type}`] as GridSetter)(at);
      }
      return exports[`encode${type}`] as BlockEncoder;
    },
  };
}

function outOfMemory(): never {
  throw new CriaError('resources', 'encoder-memory', 'not enough memory for the compiled encoders');
}
