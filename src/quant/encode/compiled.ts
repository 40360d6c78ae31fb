import { CriaError } from '../../base/errors.js';
import type { Lattice } from './lattice.js';
import type { Searches } from './searches.js';

/** Exports of the compiled searches (assembly/encode). Addresses are byte offsets in `memory`. */
interface Exports {
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
  searchSuperAffine(
    values: number,
    weights: number,
    sub: number,
    last: number,
    lastScale: number,
    spread: number,
    starts: number,
    startCount: number,
    steps: number,
    codes: number,
  ): number;
  searchSuperScale(
    values: number,
    weights: number,
    low: number,
    high: number,
    lowestScale: number,
    highestScale: number,
    starts: number,
    startCount: number,
    steps: number,
    codes: number,
  ): number;
}

/**
 * Searches that run in WebAssembly and choose exactly what the reference chooses. `module` is the compiled
 * assembly/encode; the instance made of it belongs to the calling thread.
 */
export function compiledSearches(module: WebAssembly.Module): Searches {
  const searches = new WebAssembly.Instance(module, { env: { abort: outOfMemory } })
    .exports as unknown as Exports;
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
  const codesAt = searches.allocate(32 + 256);

  // The memory may have grown since the last call, so views of it are made anew.
  const placeBlock = (values: Float64Array, weights: Float64Array): void => {
    new Float64Array(memory.buffer, valuesAt, 256).set(values);
    new Float64Array(memory.buffer, weightsAt, 256).set(weights);
  };

  return {
    words({ lattices, choiceOf, octets, evenSigns, multipliers }) {
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
        placeBlock(values, weights);
        new Uint8Array(memory.buffer, oddAt, 32).set(odd);
        const d = searches.searchWords(search, valuesAt, weightsAt, oddAt, payloadsAt, codesAt);
        return {
          d,
          codes: new Uint8Array(memory.buffer, codesAt, 16),
          variants: new Uint8Array(memory.buffer, codesAt + 16, 16),
          payloads: new Int32Array(memory.buffer, payloadsAt, 32),
        };
      };
    },
    superAffine({ sub, last, lastScale, spread, starts, steps }) {
      const startsAt = place(Float64Array.from(starts));
      return (values, weights) => {
        placeBlock(values, weights);
        const halves = searches.searchSuperAffine(
          valuesAt,
          weightsAt,
          sub,
          last,
          lastScale,
          spread,
          startsAt,
          starts.length,
          steps,
          codesAt,
        );
        return {
          d: halves & 0xffff,
          dmin: halves >>> 16,
          scales: new Uint8Array(memory.buffer, codesAt, 16),
          offsets: new Uint8Array(memory.buffer, codesAt + 16, 16),
          codes: new Uint8Array(memory.buffer, codesAt + 32, 256),
        };
      };
    },
    superScale({ levels, lowestScale, highestScale, starts, steps }) {
      const startsAt = place(Float64Array.from(starts));
      return (values, weights) => {
        placeBlock(values, weights);
        const d = searches.searchSuperScale(
          valuesAt,
          weightsAt,
          levels.low,
          levels.high,
          lowestScale,
          highestScale,
          startsAt,
          starts.length,
          steps,
          codesAt,
        );
        return { d, scales: new Int8Array(memory.buffer, codesAt, 16) };
      };
    },
  };
}

function outOfMemory(): never {
  throw new CriaError('resources', 'encoder-memory', 'not enough memory for the compiled encoders');
}
