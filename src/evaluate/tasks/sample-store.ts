import { createHash } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { writeFileAtomic } from '../../base/atomic-file.js';
import { CriaError } from '../../base/errors.js';
import { fileError } from '../../base/file-errors.js';
import { type SampleRecord, sampleRecord } from './sample-record.js';
import type { Task } from './task.js';
import { transcript } from './transcript.js';

/** What answers depend on, besides the task: results of different settings do not belong in one table. */
export interface RunSettings {
  readonly model: string;
  readonly temperature: number;
  readonly seed: number;
  readonly maxTokens: number | undefined;
}

const runFile = z.object({
  model: z.string(),
  temperature: z.number(),
  seed: z.int(),
  maxTokens: z.int().optional(),
  /** Task name to a hash of what it asks and checks. */
  tasks: z.record(z.string(), z.string()),
});

/**
 * The folder of a run: `run.json` (its settings), `TASK/sample-N.json` (saved after every round, so that a run that was
 * stopped goes on where it was) and `TASK/sample-N.md`, the same to be read.
 */
export class SampleStore {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Makes the folder, or goes on with one of the same settings. Throws `other-run` (usage), `bad-run-file`. */
  static async open(folder: string, settings: RunSettings, tasks: readonly Task[]): Promise<SampleStore> {
    const path = join(folder, 'run.json');
    const known = await readJson(path, runFile);
    const { tasks: before = {}, ...former } = known ?? {};
    const hashes = Object.fromEntries(tasks.map((task) => [task.name, taskHash(task)]));
    if (known !== undefined) {
      refuseOther(path, former, { ...settings });
      const changed = Object.keys(hashes).find((name) => before[name] && before[name] !== hashes[name]);
      if (changed !== undefined) {
        throw otherRun(path, `task '${changed}' as it was then, found it changed`);
      }
    }
    for (const task of tasks) {
      const taskFolder = join(folder, task.name);
      await mkdir(taskFolder, { recursive: true }).catch((error) => {
        throw fileError(error, 'create', taskFolder);
      });
    }
    const content = { ...settings, tasks: { ...before, ...hashes } };
    await writeFileAtomic(path, `${JSON.stringify(content, null, 2)}\n`);
    return new SampleStore(folder);
  }

  /** What there is of a sample. Throws `bad-run-file` (bad-file). */
  async read(task: Task, sample: number): Promise<SampleRecord | undefined> {
    const path = this.#path(task, sample, 'json');
    const record = await readJson(path, sampleRecord);
    if (record && (record.task !== task.name || record.sample !== sample)) {
      throw badFile(
        path,
        `sample ${sample} of '${task.name}'`,
        `sample ${record.sample} of '${record.task}'`,
      );
    }
    return record;
  }

  async write(task: Task, record: SampleRecord): Promise<void> {
    await writeFileAtomic(this.#path(task, record.sample, 'md'), transcript(task, record));
    await writeFileAtomic(this.#path(task, record.sample, 'json'), `${JSON.stringify(record, null, 2)}\n`);
  }

  /** `results.json` and `results.md`. */
  async writeResults(results: unknown, table: string): Promise<void> {
    await writeFileAtomic(join(this.#folder, 'results.json'), `${JSON.stringify(results, null, 2)}\n`);
    await writeFileAtomic(join(this.#folder, 'results.md'), table);
  }

  #path(task: Task, sample: number, extension: string): string {
    return join(this.#folder, task.name, `sample-${String(sample).padStart(3, '0')}.${extension}`);
  }
}

/** Functions are hashed by their text, so that a new version of a check does not mix with the old. */
function taskHash({ prompt, width, height, limits, checks }: Task): string {
  const parts = checks.map((check) => [
    check.name,
    check.points,
    'code' in check ? check.code : String(check.run),
  ]);
  const key = JSON.stringify([prompt, width, height, limits, parts]);
  return createHash('sha256').update(key).digest('hex').slice(0, 16);
}

function refuseOther(path: string, former: Record<string, unknown>, settings: Record<string, unknown>): void {
  for (const [key, value] of Object.entries(settings)) {
    if (former[key] !== value) {
      const name = key === 'maxTokens' ? '-n' : key;
      throw otherRun(path, `${name} ${former[key] ?? 'without limit'}, found ${value ?? 'none'}`);
    }
  }
}

function otherRun(path: string, difference: string): CriaError {
  return new CriaError('usage', 'other-run', `'${path}' is of a run with ${difference}: use another folder`);
}

async function readJson<T extends z.ZodType>(path: string, schema: T): Promise<z.infer<T> | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw fileError(error, 'read', path);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw badFile(path, 'JSON', 'something else');
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw badFile(path, `${issue!.path.join('.')} as it was saved`, issue!.message);
}

function badFile(path: string, expected: string, found: string): CriaError {
  return new CriaError('bad-file', 'bad-run-file', `'${path}': expected ${expected}, found ${found}`);
}
