import { z } from 'zod';
import { CriaError } from '../../base/errors.js';
import { BUILT_IN_TASKS } from './built-in-tasks.js';
import { DEFAULT_CANVAS, DEFAULT_LIMITS, type FileCheck, type Task } from './task.js';

const MOST_TASKS = 1000;
const MOST_CHECKS = 100;
const LONGEST_TEXT = 100_000;

const text = z.string().min(1).max(LONGEST_TEXT);
const label = z.string().min(1).max(200);
const points = z.number().positive().max(1000).default(1);
const pixels = z.int().min(1).max(4096);

const check = z.union([
  z.strictObject({ name: label, points, code: text }),
  z.strictObject({ name: label, points, output: z.string().max(LONGEST_TEXT) }),
]);

const fileTask = z.strictObject({
  name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,63}$/, 'expected lower-case letters, digits and dashes'),
  prompt: text,
  canvas: z.strictObject({ width: pixels, height: pixels }).default(DEFAULT_CANVAS),
  limits: z
    .strictObject({
      seconds: z.number().positive().max(3600).default(DEFAULT_LIMITS.seconds),
      memoryMiB: z
        .int()
        .min(32)
        .max(1024)
        .default(DEFAULT_LIMITS.memoryBytes / 2 ** 20),
    })
    .prefault({}),
  checks: z.array(check).min(1).max(MOST_CHECKS),
});

/**
 * Tasks of a user's file: a JSON array, or JSON Lines. `source` names it in errors. Throws `bad-task` (bad-file) with
 * the line or the number of the task that is wrong, and the field.
 */
export function readTasks(content: string, source: string): Task[] {
  const entries = content.trimStart().startsWith('[')
    ? fromArray(content, source)
    : fromLines(content, source);
  if (entries.length === 0) throw badTask(source, 'at least one task', 'none');
  if (entries.length > MOST_TASKS) throw badTask(source, `at most ${MOST_TASKS} tasks`, entries.length);
  const names = new Set(BUILT_IN_TASKS.map(({ name }) => name));
  return entries.map(({ value, where }) => {
    const parsed = fileTask.safeParse(value);
    if (!parsed.success) {
      const [issue] = parsed.error.issues;
      throw badTask(where, `${issue!.path.join('.') || 'a task'} as docs/tasks.md says`, issue!.message);
    }
    const { name, prompt, canvas, limits, checks } = parsed.data;
    if (names.has(name)) throw badTask(where, 'a name of its own', `'${name}' again`);
    names.add(name);
    return {
      name,
      prompt,
      ...canvas,
      limits: { seconds: limits.seconds, memoryBytes: limits.memoryMiB * 2 ** 20 },
      checks: checks.map((one): FileCheck => {
        const code = 'code' in one ? one.code : outputCheck(one.output);
        return { name: one.name, points: one.points, code };
      }),
    };
  });
}

/** The console has to hold `expected` after a second, line breaks at the end aside. */
function outputCheck(expected: string): string {
  const lines = JSON.stringify(expected.replace(/\r\n/g, '\n').trimEnd());
  return `game.frames(60); equal(game.output().join('\\n').trimEnd(), ${lines}, 'the output');`;
}

interface Entry {
  readonly value: unknown;
  readonly where: string;
}

function fromArray(content: string, source: string): Entry[] {
  const values = parseJson(content, source) as unknown[];
  return values.map((value, i) => ({ value, where: `${source}, task ${i + 1}` }));
}

function fromLines(content: string, source: string): Entry[] {
  return content.split('\n').flatMap((line, i) => {
    const where = `${source}, line ${i + 1}`;
    return line.trim() === '' ? [] : [{ value: parseJson(line, where), where }];
  });
}

function parseJson(json: string, where: string): unknown {
  try {
    return JSON.parse(json);
  } catch (error) {
    throw badTask(where, 'JSON', (error as Error).message);
  }
}

function badTask(where: string, expected: string, found: string | number): CriaError {
  return new CriaError('bad-file', 'bad-task', `${where}: expected ${expected}, found ${found}`);
}
