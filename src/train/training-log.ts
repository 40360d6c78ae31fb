import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomic } from '../base/atomic-file.js';
import { fileError } from '../base/file-errors.js';
import type { TrainingEvent } from './events.js';

export const LOG_NAME = 'train-log.jsonl';

/** `train-log.jsonl`: one event a line, each written at once, so that a run that is killed leaves what it told. */
export class TrainingLog {
  readonly #file: number;
  #failed = false;

  private constructor(file: number) {
    this.#file = file;
  }

  /**
   * Starts the log of a folder. When a run goes on from `step`, lines about later steps go (they will be written
   * again), and so does a line that a killed run has left unfinished.
   */
  static async open(folder: string, step: number): Promise<TrainingLog> {
    const path = join(folder, LOG_NAME);
    const kept = step > 0 ? await linesUpTo(path, step) : [];
    await writeFileAtomic(path, kept.map((line) => `${line}\n`).join(''));
    try {
      return new TrainingLog(openSync(path, 'a'));
    } catch (error) {
      throw fileError(error, 'write', path);
    }
  }

  write(event: TrainingEvent): void {
    if (this.#failed) return;
    try {
      writeSync(this.#file, `${JSON.stringify(event)}\n`);
      if (event.event === 'checkpoint') fsyncSync(this.#file);
    } catch {
      // A full disk must not end a run over its log; the next checkpoint will say so.
      this.#failed = true;
    }
  }

  close(): void {
    closeSync(this.#file);
  }
}

async function linesUpTo(path: string, step: number): Promise<string[]> {
  const text = await readFile(path, 'utf8').catch(() => '');
  return text.split('\n').filter((line) => {
    try {
      const event = JSON.parse(line) as TrainingEvent;
      if (event.event === 'end') return false;
      return !('step' in event) || event.step <= step;
    } catch {
      return false;
    }
  });
}
