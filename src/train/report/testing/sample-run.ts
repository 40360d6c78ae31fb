import type { EndReason, TrainingEvent } from '../../events.js';

/** A run that might have been: one step a second, an evaluation after each ten steps. */
export function sampleRun(steps: number, reason: EndReason = 'finished'): TrainingEvent[] {
  const events: TrainingEvent[] = [
    {
      event: 'start',
      model: 'models/nano-scout',
      output: 'results/poems',
      method: 'sft',
      tuning: 'lora',
      options: { 'learning-rate': 2e-4, 'lora-r': 16, 'target-modules': ['q_proj', 'v_proj'], report: true },
      totalSteps: Math.max(1, steps),
      firstStep: 0,
      epochs: 3,
      examples: 1200,
      evaluationExamples: 60,
      tokens: 240_000,
      trainableParameters: 307_200,
      memory: { weights: 1.2e9, parameters: 2e8, gradients: 2e8, optimizer: 1e8, activations: 3e8 },
      threads: 2,
      time: '2026-01-01T00:00:00.000Z',
    },
  ];
  for (let step = 1; step <= steps; step++) {
    const done = step / steps;
    const loss = 1.2 + 2.5 * Math.exp(-4 * done) + 0.25 * Math.sin(step * 12.9898) ** 3;
    events.push({
      event: 'step',
      step,
      epoch: 3 * done,
      loss,
      learningRate: 2e-4 * Math.min(1, step / 10) * (1 - 0.9 * done),
      gradientNorm: 0.4 + 2 * Math.exp(-step / 20) + 0.1 * Math.cos(step * 7.77),
      tokens: 2048,
      tokensPerSecond: 2048 + 40 * Math.sin(step),
      seconds: step,
      remaining: steps - step,
      rss: 1.9e9 + 1e8 * Math.min(1, step / 5),
    });
    if (step % 10 === 0) events.push({ event: 'evaluation', step, loss: loss + 0.1, best: true });
  }
  if (steps > 0) events.push({ event: 'checkpoint', step: steps, path: `results/poems/step-${steps}` });
  const message = reason === 'failed' ? 'the disk is full' : undefined;
  events.push({ event: 'end', reason, step: steps, seconds: steps, outputs: ['results/poems'], message });
  return events;
}
