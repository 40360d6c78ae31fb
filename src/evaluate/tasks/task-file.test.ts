import { describe, expect, it } from 'vitest';
import { readTasks } from './task-file.js';

const task = { name: 'sum', prompt: 'Write sum(a, b).', checks: [{ name: 'adds', code: 'assert(true)' }] };

describe('readTasks', () => {
  it('reads JSON Lines and arrays, and fills in what is left out', () => {
    const lines = `${JSON.stringify(task)}\n\n${JSON.stringify({ ...task, name: 'two', limits: { seconds: 2 } })}\n`;
    const [first, second] = readTasks(lines, 'f');
    expect(first).toMatchObject({ name: 'sum', width: 480, height: 640, limits: { seconds: 60 } });
    expect(first!.checks[0]).toEqual({ name: 'adds', points: 1, code: 'assert(true)' });
    expect(second!.limits).toEqual({ seconds: 2, memoryBytes: 128 * 2 ** 20 });
    expect(readTasks(JSON.stringify([task]), 'f')).toHaveLength(1);
  });

  it.each([
    ['{"name": }', /f, line 1: expected JSON/],
    [`${JSON.stringify(task)}\n${JSON.stringify({ ...task, name: 'Bad Name' })}`, /f, line 2: expected name/],
    [JSON.stringify([{ ...task, checks: [{ name: 'x' }] }]), /f, task 1: expected checks\.0/],
    [JSON.stringify([{ ...task, checks: [] }]), /task 1: expected checks/],
    [JSON.stringify([{ ...task, speed: 1 }]), /task 1/],
    [JSON.stringify([task, task]), /task 2: expected a name of its own, found 'sum' again/],
    [JSON.stringify({ ...task, name: '2048' }), /a name of its own/],
    ['', /at least one task, found none/],
    ['[1', /expected JSON/],
  ])('refuses %s', (content, message) => {
    expect(() => readTasks(content, 'f')).toThrow(
      expect.objectContaining({ code: 'bad-task', kind: 'bad-file' }),
    );
    expect(() => readTasks(content, 'f')).toThrow(message);
  });
});
