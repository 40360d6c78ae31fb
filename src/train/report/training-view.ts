import { formatBytes } from '../../base/byte-size.js';
import { type Html, html } from '../../base/html.js';
import type { TrainingStart } from '../events.js';
import { processBytes } from '../process-memory.js';
import { decimal, duration, grouped } from './figures.js';
import { plannedBytes, trainingCharts } from './training-charts.js';
import type { TrainingHistory } from './training-history.js';
import type { TrainingTexts } from './training-texts.js';

/** The parts of a page that change as a run goes on, by the ids of their elements. */
export type TrainingView = Readonly<
  Record<'head' | 'figures' | 'curves' | 'notes' | 'results' | 'configuration', Html | undefined>
>;

/** All that the report and the live page show of a run. Names and texts of the run are escaped. Pure. */
export function trainingView(history: TrainingHistory, texts: TrainingTexts): TrainingView {
  const { start, warnings } = history;
  if (start === undefined) {
    const head = html`<h1>${texts('title')}</h1><p class="muted">${texts('waiting')}</p>`;
    return {
      head,
      figures: undefined,
      curves: undefined,
      notes: undefined,
      results: undefined,
      configuration: undefined,
    };
  }
  return {
    head: head(history, start, texts),
    figures: figures(history, start, texts),
    curves: html`<section><h2>${texts('curves')}</h2><p class="muted">${texts('curvesHint')}</p><div class="charts">${trainingCharts(history, texts)}</div></section>`,
    notes:
      warnings.length === 0
        ? undefined
        : html`<section><h2>${texts('warnings')}</h2><ul class="notes">${[...new Set(warnings)].map((text) => html`<li>${text}</li>`)}</ul></section>`,
    results: results(history, texts),
    configuration: configuration(start, texts),
  };
}

function head({ end, steps }: TrainingHistory, start: TrainingStart, texts: TrainingTexts): Html {
  const model = texts(start.tuning === 'lora' ? 'fineTuning' : 'fullTraining', { model: start.model });
  const method = start.method === 'dpo' ? `, ${texts('preferences')}` : '';
  const state = end?.reason ?? 'running';
  const step = steps.at(-1)?.step ?? start.firstStep;
  return html`<h1>${lastName(start.output)}</h1><p class="muted">${model}${method}</p>
<p class="state ${state}"><strong>${texts(state)}</strong>${end?.message === undefined ? undefined : html`: ${end.message}`}</p>
<progress max="${start.totalSteps}" value="${step}" aria-label="${texts('step')}"></progress>`;
}

function lastName(path: string): string {
  return path.split(/[\\/]/).findLast((name) => name !== '') ?? path;
}

function figures(history: TrainingHistory, start: TrainingStart, texts: TrainingTexts): Html {
  const step = history.steps.at(-1);
  const best = history.bestEvaluation;
  const latest = history.evaluations.at(-1);
  const facts: [string, string, string?][] = [
    [
      texts('step'),
      texts('stepOf', { step: grouped(step?.step ?? start.firstStep), total: grouped(start.totalSteps) }),
    ],
  ];
  if (step !== undefined) {
    facts.push([texts('epoch'), step.epoch.toFixed(2)], [texts('loss'), decimal(step.loss)]);
  }
  if (latest !== undefined) {
    const note = best && texts('best', { loss: decimal(best.loss), step: best.step });
    facts.push([texts('evaluationLoss'), decimal(latest.loss), note]);
  }
  if (step !== undefined) {
    const planned = plannedBytes(history);
    facts.push(
      [texts('learningRate'), decimal(step.learningRate)],
      [texts('gradientNorm'), decimal(step.gradientNorm)],
      [texts('speed'), grouped(Math.round(step.tokensPerSecond))],
      [
        texts('memory'),
        formatBytes(step.rss),
        planned > 0 ? `${texts('predicted')} ${formatBytes(planned)}` : undefined,
      ],
      [texts('elapsed'), duration(history.seconds)],
    );
    if (history.end === undefined) facts.push([texts('remaining'), duration(step.remaining)]);
  }
  return html`<dl class="facts">${facts.map(([name, value, note]) => html`<div><dt>${name}</dt><dd>${value}</dd>${note === undefined ? undefined : html`<dd class="note">${note}</dd>`}</div>`)}</dl>`;
}

function results({ checkpoints, end }: TrainingHistory, texts: TrainingTexts): Html | undefined {
  const paths = new Map(checkpoints.map(({ step, path }) => [path, texts('checkpoint', { step })]));
  const outputs = end?.outputs.filter((path) => !paths.has(path)) ?? [];
  if (paths.size + outputs.length === 0) return undefined;
  const rows = [
    ...[...paths].map(([path, name]) => ({ name, path })),
    ...outputs.map((path) => ({ name: '', path })),
  ];
  return html`<section><h2>${texts('results')}</h2><ul class="notes">${rows.map(({ name, path }) => html`<li>${name} <code>${path}</code></li>`)}</ul></section>`;
}

function configuration(start: TrainingStart, texts: TrainingTexts): Html {
  const facts: [string, string][] = [
    [texts('output'), start.output],
    [texts('examples'), grouped(start.examples)],
    [texts('evaluationExamples'), grouped(start.evaluationExamples)],
    [texts('tokensOfEpoch'), grouped(start.tokens)],
    [texts('trainable'), grouped(start.trainableParameters)],
    [texts('threads'), String(start.threads)],
    ...(start.firstStep > 0 ? [[texts('resumedAt'), grouped(start.firstStep)] as [string, string]] : []),
  ];
  const options = Object.entries(start.options).flatMap(([name, value]): [string, string][] =>
    value === null || String(value) === ''
      ? []
      : [[name, Array.isArray(value) ? value.join(', ') : String(value)]],
  );
  const half = Math.ceil(options.length / 2);
  const memory = [
    ...(['weights', 'parameters', 'gradients', 'optimizer', 'activations'] as const).map(
      (part) => [texts(part), formatBytes(start.memory[part])] as const,
    ),
    [texts('process'), formatBytes(processBytes(start.threads))] as const,
  ];
  return html`<section><h2>${texts('configuration')}</h2><div class="tables"><div>${table(facts)}<h3>${texts('predictedMemory')}</h3>${table(memory)}</div>${table(options.slice(0, half))}${table(options.slice(half))}</div></section>`;
}

function table(rows: readonly (readonly [string, string])[]): Html {
  return html`<table><tbody>${rows.map(([name, value]) => html`<tr><th scope="row">${name}</th><td>${value}</td></tr>`)}</tbody></table>`;
}
