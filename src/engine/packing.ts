import { PANEL_ROWS } from '../quant/packed-layout.js';
import type { Lane } from './lane.js';

/** Rows of a matrix, in blocks, to be laid out as panels of a packed form; all in one arena. */
export interface PackJob {
  readonly form: number;
  readonly arena: number;
  /** Address of the first row; the others follow it. */
  readonly source: number;
  readonly rowBytes: number;
  readonly columns: number;
  /** Address of the first panel; the others follow it. */
  readonly target: number;
  readonly panelBytes: number;
  readonly panels: number;
}

/** 32-bit words that a job takes in a command. */
export const PACK_WORDS = 8;

export function writePackJob(job: PackJob, words: Int32Array): void {
  const { form, arena, source, rowBytes, columns, target, panelBytes, panels } = job;
  words.set([form, arena, source, rowBytes, columns, target, panelBytes, panels]);
}

/** Does this lane's part of the job that `writePackJob` wrote. */
export function packShare(lane: Lane, words: Int32Array): void {
  // Addresses go up to 2^32.
  const [form, arena, source, rowBytes, columns, target, panelBytes, panels] = new Uint32Array(
    words.buffer,
    words.byteOffset,
    PACK_WORDS,
  ) as unknown as [number, number, number, number, number, number, number, number];
  const { kernels, scratch } = lane.arenas[arena]!;
  const [start, end] = lane.share(panels);
  for (let panel = start; panel < end; panel++) {
    const from = source + panel * PANEL_ROWS * rowBytes;
    kernels.packPanel(form, from, rowBytes, columns, target + panel * panelBytes, scratch);
  }
}
