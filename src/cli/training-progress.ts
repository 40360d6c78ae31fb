import { formatBytes } from '../base/byte-size.js';
import { duration } from '../base/progress.js';
import type { TrainingEvent, TrainingObserver, TrainingStart } from '../train/events.js';
import type { Terminal } from './verb.js';

/** Shows a training run on standard error: on a terminal its last step in one line, elsewhere a line for each. */
export function trainingProgress({ stderr }: Terminal): TrainingObserver {
  const redraws = stderr.isTTY === true;
  let total = 0;
  let drawn = false;
  const line = (text: string) => {
    stderr.write(drawn ? `\r${text}\u001b[K\n` : `${text}\n`);
    drawn = false;
  };
  return (event) => {
    if (event.event === 'start') total = event.totalSteps;
    if (event.event === 'step' && redraws) {
      stderr.write(`\r${lineOf(event, total).slice(0, Math.max(20, (stderr.columns || 80) - 1))}\u001b[K`);
      drawn = true;
    } else if (event.event === 'end') {
      if (drawn) stderr.write('\n');
      drawn = false;
    } else {
      line(lineOf(event, total));
    }
  };
}

function lineOf(event: Exclude<TrainingEvent, { event: 'end' }>, total: number): string {
  switch (event.event) {
    case 'start':
      return startLine(event);
    case 'step': {
      const { step, loss, learningRate, tokensPerSecond, remaining, rss, preference } = event;
      const margin = preference ? `  margin ${preference.margin.toFixed(3)}` : '';
      const rate = `lr ${learningRate.toExponential(2)}  ${Math.round(tokensPerSecond)} tokens/s`;
      return `step ${step} of ${total}  loss ${loss.toFixed(4)}${margin}  ${rate}  ${duration(remaining)} left  ${formatBytes(rss)}`;
    }
    case 'evaluation': {
      const { step, loss, best, preference } = event;
      const more = preference
        ? `  margin ${preference.margin.toFixed(3)}, ${Math.round(100 * preference.accuracy)} % of pairs right`
        : '';
      return `evaluation after step ${step}: loss ${loss.toFixed(4)}${best ? ', the lowest so far' : ''}${more}`;
    }
    case 'checkpoint':
      return `saved '${event.path}'`;
    case 'warning':
      return `warning: ${event.message}`;
  }
}

function startLine({
  tuning,
  trainableParameters,
  examples,
  tokens,
  memory,
  ...start
}: TrainingStart): string {
  const { totalSteps, firstStep, threads } = start;
  const bytes = Object.values(memory).reduce((sum: number, part: number) => sum + part, 0);
  const what = tuning === 'full' ? 'weights' : 'parameters of adapters';
  const from = firstStep > 0 ? `, going on after step ${firstStep}` : '';
  return `training ${trainableParameters} ${what} on ${examples} examples (${tokens} tokens): ${totalSteps} steps${from}, ${threads} threads, ${formatBytes(bytes)} of memory`;
}
