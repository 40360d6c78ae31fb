import type { WriteStream } from 'node:tty';
import { formatBytes } from './byte-size.js';

export interface ProgressOptions {
  /** What is being done, as `converting`. */
  readonly label: string;
  readonly total: number;
  readonly unit: 'bytes' | 'items';
  /** What was done before this run; it counts as done, but not towards the rate. */
  readonly initial?: number;
  /** Standard error by default. */
  readonly stream?: Pick<WriteStream, 'write' | 'isTTY' | 'columns'>;
  readonly quiet?: boolean;
}

export interface Progress {
  /** `done` counts from the start and never falls. */
  update(done: number): void;
  /** Shows the end and how long it took. */
  finish(): void;
  /** Leaves the line as it is, for an error message to follow. */
  fail(): void;
}

const REDRAW_MS = 100;
const PLAIN_LINE_MS = 5000;
const BAR_CELLS = 20;

/**
 * Progress of long work: on a terminal one line, redrawn at most ten times a second, with a bar, rate and time
 * left; elsewhere a plain line every few seconds.
 */
export function createProgress({
  label,
  total,
  unit,
  initial = 0,
  stream = process.stderr,
  quiet = false,
}: ProgressOptions): Progress {
  if (quiet) return { update() {}, finish() {}, fail() {} };
  const terminal = stream.isTTY === true;
  const interval = terminal ? REDRAW_MS : PLAIN_LINE_MS;
  const started = performance.now();
  let shown = terminal ? -Infinity : started;
  let current = initial;
  let drawn = false;

  const amount = (n: number) => (unit === 'bytes' ? formatBytes(n) : String(n));
  const show = (line: string, end: string) => {
    if (!terminal) {
      stream.write(`${line}\n`);
      return;
    }
    // One cell stays free: filling the last one makes some terminals wrap.
    stream.write(`\r${line.slice(0, Math.max(20, (stream.columns || 80) - 1))}\u001b[K${end}`);
    drawn = end === '';
  };
  const status = (seconds: number) => {
    const share = total > 0 ? Math.min(1, current / total) : 0;
    const rate = (current - initial) / Math.max(seconds, 1e-3);
    const left = rate > 0 && seconds >= 1 ? `, ${duration((total - current) / rate)} left` : '';
    const cells = Math.round(share * BAR_CELLS);
    const bar = terminal ? `[${'#'.repeat(cells).padEnd(BAR_CELLS, '.')}] ` : '';
    const percent = `${Math.floor(share * 100)}%`.padStart(4);
    return `${label} ${bar}${percent}  ${amount(current)} of ${amount(total)}, ${amount(Math.round(rate))}/s${left}`;
  };

  return {
    update(done) {
      current = done;
      const now = performance.now();
      if (now - shown < interval) return;
      shown = now;
      show(status((now - started) / 1000), '');
    },
    finish() {
      const seconds = (performance.now() - started) / 1000;
      show(`${label} done: ${amount(total - initial)} in ${duration(seconds)}`, '\n');
    },
    fail() {
      if (drawn) stream.write('\n');
      drawn = false;
    },
  };
}

/** `4.2s`, `3m 05s`, `2h 10m`. */
export function duration(seconds: number): string {
  if (seconds < 59.95) return `${seconds.toFixed(1)}s`;
  const whole = Math.round(seconds);
  const pad = (n: number) => String(n).padStart(2, '0');
  if (whole < 3600) return `${Math.floor(whole / 60)}m ${pad(whole % 60)}s`;
  const minutes = Math.round(whole / 60);
  return `${Math.floor(minutes / 60)}h ${pad(minutes % 60)}m`;
}
