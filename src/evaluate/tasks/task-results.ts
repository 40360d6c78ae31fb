import { passAtK } from './pass-at-k.js';
import { hasPassed, type SampleRecord, score } from './sample-record.js';

/** How samples of one task went. */
export interface TaskResult {
  readonly task: string;
  readonly samples: number;
  /** Samples whose first answer passed all checks, and those that passed in the end. */
  readonly passedAtFirst: number;
  readonly passedInTheEnd: number;
  /** Chance that at least one of k first answers passes; the key is k, from 1 to the number of samples. */
  readonly passAt: Readonly<Record<number, number>>;
  /** Share of samples that passed after at most the allowed rounds. */
  readonly afterRepair: number;
  /** Mean share of points, of first answers and of last ones. */
  readonly firstScore: number;
  readonly lastScore: number;
  /** Mean number of answers per sample. */
  readonly rounds: number;
}

/** Figures of `records`, which are samples of one task; at least one. */
export function taskResult(task: string, records: readonly SampleRecord[]): TaskResult {
  const n = records.length;
  const count = (test: (record: SampleRecord) => boolean) => records.filter(test).length;
  const mean = (value: (record: SampleRecord) => number) =>
    records.reduce((sum, record) => sum + value(record), 0) / n;
  const passedAtFirst = count(({ rounds }) => hasPassed(rounds[0]));
  const passedInTheEnd = count(({ rounds }) => hasPassed(rounds.at(-1)));
  return {
    task,
    samples: n,
    passedAtFirst,
    passedInTheEnd,
    passAt: Object.fromEntries(records.map((_, i) => [i + 1, passAtK(n, passedAtFirst, i + 1)])),
    afterRepair: passedInTheEnd / n,
    firstScore: mean(({ rounds }) => (rounds[0] ? score(rounds[0]) : 0)),
    lastScore: mean(({ rounds }) => (rounds.length > 0 ? score(rounds.at(-1)!) : 0)),
    rounds: mean(({ rounds }) => rounds.length),
  };
}

/** The table as Markdown, which is readable as it stands. */
export function resultsTable(results: readonly TaskResult[], rounds: number): string {
  const k = Math.max(...results.map(({ samples }) => samples));
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  const header = [
    'Task',
    'Samples',
    'pass@1',
    ...(k > 1 ? [`pass@${k}`] : []),
    ...(rounds > 1 ? [`after repair (${rounds} rounds)`] : []),
    'points',
    ...(rounds > 1 ? ['points in the end'] : []),
  ];
  const rows = results.map((result) => [
    result.task,
    String(result.samples),
    percent(result.passAt[1]!),
    ...(k > 1 ? [percent(result.passAt[result.samples]!)] : []),
    ...(rounds > 1 ? [percent(result.afterRepair)] : []),
    percent(result.firstScore),
    ...(rounds > 1 ? [percent(result.lastScore)] : []),
  ]);
  const widths = header.map((name, column) =>
    Math.max(name.length, ...rows.map((row) => row[column]!.length)),
  );
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!))).join(' | ')} |`;
  const rule = `|${widths.map((width, column) => (column === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`;
  return `${[line(header), rule, ...rows.map(line)].join('\n')}\n`;
}
