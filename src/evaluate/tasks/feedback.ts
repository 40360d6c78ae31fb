import type { Round } from './sample-record.js';
import type { Task } from './task.js';

export interface TaskMessage {
  readonly role: 'user' | 'assistant';
  readonly content: string;
}

/**
 * The chat that asks for the next answer: the task and, after a first answer, the last one and what was wrong with it.
 * Earlier answers are left out, so that a chat does not outgrow the model's context.
 */
export function nextMessages(task: Task, rounds: readonly Round[]): TaskMessage[] {
  const asked: TaskMessage = { role: 'user', content: task.prompt };
  const last = rounds.at(-1);
  if (last === undefined) return [asked];
  return [asked, { role: 'assistant', content: last.answer }, { role: 'user', content: feedback(last) }];
}

/** What is told about an answer that did not pass. */
export function feedback({ problem, checks }: Round): string {
  if (problem !== undefined) return `${problem} Then it will be run.`;
  const failed = checks.filter(({ passed }) => !passed).map(({ name, message }) => `- ${name}: ${message}`);
  const passed = checks.filter((check) => check.passed).map(({ name }) => `- ${name}`);
  return [
    'The program was run, and it is not right yet. What failed:',
    ...failed,
    ...(passed.length > 0 ? ['', 'What is right and has to stay so:', ...passed] : []),
    '',
    'Find the cause and send the whole corrected program in one ```js block.',
  ].join('\n');
}
