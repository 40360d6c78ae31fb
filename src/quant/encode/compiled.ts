import type { Lattice } from './lattice.js';
import type { WordFormat, WordSearch } from './word-search.js';

/** Exports of the compiled searches (assembly/encode). Addresses are byte offsets in `memory`. */
interface CompiledSearches {
  readonly memory: WebAssembly.Memory;
  allocate(bytes: number): number;
  defineLattice(
    weights: number,
    levelCount: number,
    halves: number,
    meanSquare: number,
    levels: number,
    starts: number,
    highOf: number,
    entryOf: number,
  ): number;
  defineWordSearch(
    lattice: number,
    other: number,
    choice: number,
    octets: number,
    evenSigns: number,
    multipliers: number,
    multiplierCount: number,
  ): number;
  searchWords(
    search: number,
    values: number,
    weights: number,
    odd: number,
    payloads: number,
    codes: number,
  ): number;
}

/**
 * Word searches that run in WebAssembly and choose exactly what `newWordSearch` chooses. `module` is the compiled
 * assembly/encode; its instance belongs to the calling thread.
 */
export function compiledWordSearches(module: WebAssembly.Module): (format: WordFormat) => WordSearch {
  const searches = new WebAssembly.Instance(module, {
    env: {
      abort() {
        throw new Error('the compiled encoders ran out of memory');
      },
    },
  }).exports as unknown as CompiledSearches;
  const { memory } = searches;

  /** Copies a table into the memory for good. */
  const place = (table: Float64Array | Int32Array | Uint16Array | Uint8Array): number => {
    const at = searches.allocate(table.byteLength);
    new Uint8Array(memory.buffer).set(new Uint8Array(table.buffer, table.byteOffset, table.byteLength), at);
    return at;
  };
  const define = (lattice: Lattice): number =>
    searches.defineLattice(
      lattice.weights,
      lattice.levels.length,
      lattice.starts.length - 1,
      lattice.meanSquare,
      place(lattice.levels),
      place(lattice.starts),
      place(lattice.highOf),
      place(lattice.entryOf),
    );
  const valuesAt = searches.allocate(256 * 8);
  const weightsAt = searches.allocate(256 * 8);
  const oddAt = searches.allocate(32);
  const payloadsAt = searches.allocate(32 * 4);
  const codesAt = searches.allocate(32);

  return ({ lattices, choiceOf, octets, evenSigns, multipliers }) => {
    const [first, second] = lattices.map(define);
    const search = searches.defineWordSearch(
      first!,
      second ?? 0,
      Number(second !== undefined && choiceOf === 'group'),
      octets,
      Number(evenSigns),
      place(multipliers),
      multipliers.length,
    );
    return (values, weights, odd) => {
      // The memory may have grown since the last call, so views of it are made anew.
      const { buffer } = memory;
      new Float64Array(buffer, valuesAt, 256).set(values);
      new Float64Array(buffer, weightsAt, 256).set(weights);
      new Uint8Array(buffer, oddAt, 32).set(odd);
      const d = searches.searchWords(search, valuesAt, weightsAt, oddAt, payloadsAt, codesAt);
      return {
        d,
        codes: new Uint8Array(buffer, codesAt, 16),
        variants: new Uint8Array(buffer, codesAt + 16, 16),
        payloads: new Int32Array(buffer, payloadsAt, 32),
      };
    };
  };
}
