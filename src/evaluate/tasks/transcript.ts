import { feedback } from './feedback.js';
import { hasPassed, type Round, type SampleRecord, score } from './sample-record.js';
import type { Task } from './task.js';

/** A sample as Markdown: what was asked, each answer, and what became of it. */
export function transcript(task: Task, { sample, seed, rounds, stopped }: SampleRecord): string {
  const parts = [`# ${task.name}, sample ${sample} (seed ${seed})`, '## Asked', quoted(task.prompt)];
  rounds.forEach((round, i) => {
    parts.push(
      `## Answer ${i + 1}`,
      fenced(round.answer),
      `## Run ${i + 1}: ${verdict(round)}`,
      checks(round),
    );
    if (i + 1 < rounds.length) parts.push('## Told', quoted(feedback(round)));
  });
  if (stopped !== undefined) parts.push(`Stopped: ${stopped}`);
  return `${parts.join('\n\n')}\n`;
}

function verdict(round: Round): string {
  return hasPassed(round) ? 'passed' : `${(100 * score(round)).toFixed(0)} % of the points`;
}

function checks({ problem, checks }: Round): string {
  if (problem !== undefined) return problem;
  const cell = (text: string) => text.replace(/\|/g, '\\|').replace(/\s*\n\s*/g, ' ');
  const rows = checks.map(
    ({ name, points, passed, message = '' }) =>
      `| ${passed ? 'yes' : 'no'} | ${points} | ${cell(name)} | ${cell(message)} |`,
  );
  return ['| Passed | Points | Check | |', '|---|---|---|---|', ...rows].join('\n');
}

function quoted(text: string): string {
  return text
    .split('\n')
    .map((line) => `> ${line}`.trimEnd())
    .join('\n');
}

/** A longer fence than any in the text, so that what a model writes stays inside. */
function fenced(text: string): string {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([ticks]) => ticks.length));
  const fence = '`'.repeat(longest + 1);
  return `${fence}\n${text}\n${fence}`;
}
