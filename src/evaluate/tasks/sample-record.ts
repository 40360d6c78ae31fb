import { z } from 'zod';

const checkResult = z.object({
  name: z.string(),
  points: z.number(),
  passed: z.boolean(),
  message: z.string().optional(),
});

const round = z.object({
  answer: z.string(),
  /** Why the answer holds nothing to run; absent where it does. */
  problem: z.string().optional(),
  checks: z.array(checkResult),
});

/** One attempt at a task: the first answer, and those after it was told what was wrong. */
export const sampleRecord = z.object({
  task: z.string(),
  sample: z.int().min(1),
  seed: z.int(),
  rounds: z.array(round),
  /** Why no further round was possible although checks failed: the chat did not fit the context. */
  stopped: z.string().optional(),
});

export type Round = z.infer<typeof round>;
export type SampleRecord = z.infer<typeof sampleRecord>;

export function hasPassed(round: Round | undefined): boolean {
  return round !== undefined && round.problem === undefined && round.checks.every(({ passed }) => passed);
}

/** Share of the points, from 0 to 1. */
export function score({ checks }: Round): number {
  const sum = (list: Round['checks']) => list.reduce((total, { points }) => total + points, 0);
  const all = sum(checks);
  return all === 0 ? 0 : sum(checks.filter(({ passed }) => passed)) / all;
}

/** True when there is nothing more to ask. */
export function isFinished({ rounds, stopped }: SampleRecord, most: number): boolean {
  return stopped !== undefined || rounds.length >= most || hasPassed(rounds.at(-1));
}
