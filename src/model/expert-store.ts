import { closeSync, fstatSync, openSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { CriaError } from '../base/errors.js';
import { fileError } from '../base/file-errors.js';
import {
  createSlotWords,
  type SlotFile,
  type SlotGroup,
  SlotLoader,
  type SlotLoaderSetup,
} from '../engine/slot-loader.js';
import type { SlotReaderData } from '../engine/slot-reader.js';
import type { TensorSource } from '../formats/tensor-source.js';
import { EXPERT_COUNTS } from './expert-cache.js';
import type { ExpertCacheLayout } from './expert-cache-plan.js';

/** What an expert cache did since the model was loaded. A request is one expert wanted by one layer in one step. */
export interface ExpertCacheStatistics {
  /** Experts in the file, over all layers, and how many of them fit at once. */
  readonly experts: number;
  readonly slots: number;
  readonly requests: number;
  /** Requests for what was in memory since an earlier step. */
  readonly hits: number;
  /** Requests for what had been, or was being, read ahead. The other requests waited for the disk. */
  readonly predicted: number;
  /** Experts that were read ahead, wanted or not. */
  readonly readAhead: number;
  readonly bytesRead: number;
  /** Time in which computing stood still for reading. */
  readonly secondsWaited: number;
}

/** What lanes need to build their `ExpertCache`; structured-cloneable. */
export interface ExpertCacheInit {
  readonly loader: SlotLoaderSetup;
  readonly counts: Float64Array;
}

/** Disks answer several requests at a time faster than one after another. */
const READERS = 4;

const require = createRequire(import.meta.url);

/** The files that experts are read from, and the threads that read them while the lanes compute. */
export class ExpertStore {
  readonly init: ExpertCacheInit;
  readonly #layout: ExpertCacheLayout;
  readonly #loader: SlotLoader;
  readonly #readers: readonly Worker[];

  private constructor(layout: ExpertCacheLayout, init: ExpertCacheInit, readers: readonly Worker[]) {
    this.init = init;
    this.#layout = layout;
    this.#loader = new SlotLoader(init.loader, []);
    this.#readers = readers;
  }

  /**
   * Opens the files of `source` for as long as the model lives. Throws `experts-not-in-file` (unsupported) where the
   * source does not hold the experts' bytes as the engine takes them, and `file-changed`.
   */
  static open(
    source: TensorSource,
    layout: ExpertCacheLayout,
    memories: readonly WebAssembly.Memory[],
  ): ExpertStore {
    const files: SlotFile[] = [];
    try {
      const loader: SlotLoaderSetup = {
        slots: layout.slots,
        groups: layout.groups.map((group) => locateGroup(source, group, files)),
        files,
        words: createSlotWords(layout.slots.length),
      };
      const counts = new Float64Array(new SharedArrayBuffer(8 * Object.keys(EXPERT_COUNTS).length));
      const data: SlotReaderData = { setup: loader, memories };
      const readers = Array.from({ length: READERS }, () => startReader(data));
      return new ExpertStore(layout, { loader, counts }, readers);
    } catch (error) {
      for (const { fd } of files) closeSync(fd);
      throw error;
    }
  }

  get statistics(): ExpertCacheStatistics {
    const { counts } = this.init;
    const [hits, predicted, read] = [EXPERT_COUNTS.kept, EXPERT_COUNTS.ahead, EXPERT_COUNTS.read].map(
      (index) => counts[index]!,
    ) as [number, number, number];
    return {
      experts: this.#layout.groups.length * this.#layout.experts,
      slots: this.#layout.slots.length,
      requests: hits + predicted + read,
      hits,
      predicted,
      readAhead: counts[EXPERT_COUNTS.predicted]!,
      bytesRead: this.#loader.bytesRead,
      secondsWaited: this.#loader.secondsWaited,
    };
  }

  /** Only when no lane computes any more. */
  async close(): Promise<void> {
    this.#loader.stop();
    await Promise.all(this.#readers.map((reader) => reader.terminate()));
    for (const { fd } of this.init.loader.files) closeSync(fd);
  }
}

function startReader(workerData: SlotReaderData): Worker {
  // Beside the program that the lanes run, whether this module runs from there or from its source.
  const program = pathToFileURL(require.resolve('#llama4-program'));
  const reader = new Worker(new URL('../engine/slot-reader.js', program), { workerData, execArgv: [] });
  // A thread that cannot start or run takes no chunks; lanes then read by themselves.
  reader.on('error', () => {});
  reader.unref();
  return reader;
}

function locateGroup(
  source: TensorSource,
  { firstSlot, slots, parts }: ExpertCacheLayout['groups'][number],
  files: SlotFile[],
): SlotGroup {
  return {
    firstSlot,
    slots,
    parts: parts.map(({ name, bytes, at }) => {
      const place = source.locate?.(name);
      if (place === undefined) {
        throw new CriaError(
          'unsupported',
          'experts-not-in-file',
          `'${source.path}': experts can be read as needed from a GGUF file only; 'cria convert' makes one`,
        );
      }
      let file = files.findIndex(({ path }) => path === place.path);
      if (file < 0) file = files.push(openFile(place.path, place.fileBytes)) - 1;
      return { file, offset: place.offset, bytes, at };
    }),
  };
}

function openFile(path: string, expectedBytes: number): SlotFile {
  try {
    const fd = openSync(path, 'r');
    const { size, mtimeNs: modified } = fstatSync(fd, { bigint: true });
    if (size !== BigInt(expectedBytes)) {
      closeSync(fd);
      throw new CriaError(
        'bad-file',
        'file-changed',
        `'${path}' was changed while it was being loaded: expected ${expectedBytes} bytes, found ${size}`,
      );
    }
    return { path, fd, size, modified };
  } catch (error) {
    throw fileError(error, 'open', path);
  }
}
