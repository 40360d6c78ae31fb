import { formatBytes } from '../../base/byte-size.js';
import { type Html, html } from '../../base/html.js';
import type { TrainingStep } from '../events.js';
import { processBytes } from '../process-memory.js';
import { type Curve, curveChart } from './curve-chart.js';
import { decimal } from './figures.js';
import type { TrainingHistory } from './training-history.js';
import type { TrainingTextKey, TrainingTexts } from './training-texts.js';

/** Share of the past in a smoothed loss. */
const SMOOTHING = 0.9;
/** Fewer steps are seen as they are. */
const SMOOTHED_FROM = 20;

interface Chart {
  readonly title: TrainingTextKey;
  readonly curves: readonly Curve[];
  readonly format: (value: number) => string;
  readonly fromZero?: boolean;
}

/** The curves of a run, each chart with its title and legend. Pure. */
export function trainingCharts(history: TrainingHistory, texts: TrainingTexts): Html[] {
  return charts(history, texts).map(({ title, curves, format, fromZero }) => {
    const name = texts(title);
    const legend = curves.map(
      ({ name, style }) =>
        html`<li><svg viewBox="0 0 22 12" class="key">${
          style === 'dots'
            ? html`<circle class="curve dots" cx="11" cy="6" r="3"/>`
            : html`<path class="curve ${style}" d="M0 6H22"/>`
        }</svg>${name}</li>`,
    );
    const drawing = curveChart({ description: name, stepName: texts('step'), curves, format, fromZero });
    return html`<figure><figcaption>${name}</figcaption>${
      curves.length > 1 ? html`<ul class="legend">${legend}</ul>` : undefined
    }${drawing}</figure>`;
  });
}

function charts(history: TrainingHistory, texts: TrainingTexts): Chart[] {
  const { steps, evaluations } = history;
  const line = (
    name: TrainingTextKey,
    value: (step: TrainingStep) => number | undefined,
    style: Curve['style'] = 'line',
  ): Curve => ({ name: texts(name), style, points: points(steps, value) });
  const loss = line('loss', (step) => step.loss, steps.length < SMOOTHED_FROM ? 'line' : 'faint');
  const evaluation: Curve = {
    name: texts('evaluation'),
    style: 'dots',
    points: evaluations.map((one) => [one.step, one.loss]),
  };
  const planned = plannedBytes(history);
  const list: Chart[] = [
    {
      title: 'loss',
      format: decimal,
      curves: [
        loss,
        ...(steps.length < SMOOTHED_FROM
          ? []
          : [{ name: texts('smoothed'), style: 'line' as const, points: smoothed(loss.points) }]),
        ...(evaluations.length > 0 ? [evaluation] : []),
      ],
    },
    { title: 'learningRate', format: decimal, curves: [line('learningRate', (step) => step.learningRate)] },
    {
      title: 'speed',
      format: decimal,
      fromZero: true,
      curves: [line('speed', (step) => step.tokensPerSecond)],
    },
    { title: 'gradientNorm', format: decimal, curves: [line('gradientNorm', (step) => step.gradientNorm)] },
    {
      title: 'memory',
      format: formatBytes,
      fromZero: true,
      curves: [
        line('held', (step) => step.rss),
        ...(planned > 0 ? [line('predicted', () => planned, 'dashed')] : []),
      ],
    },
  ];
  if (steps.some(({ auxiliaryLoss }) => auxiliaryLoss !== undefined && auxiliaryLoss !== 0)) {
    const curves = [line('auxiliaryLoss', (step) => step.auxiliaryLoss)];
    list.push({ title: 'auxiliaryLoss', format: decimal, curves });
  }
  if (steps.some(({ preference }) => preference !== undefined)) {
    list.push(
      {
        title: 'margin',
        format: decimal,
        curves: [
          line('margin', (step) => step.preference?.margin),
          line('chosenReward', (step) => step.preference?.chosenReward, 'dashed'),
          line('rejectedReward', (step) => step.preference?.rejectedReward, 'faint'),
        ],
      },
      {
        title: 'accuracy',
        format: decimal,
        curves: [line('accuracy', (step) => step.preference?.accuracy)],
      },
    );
  }
  return list;
}

function points(steps: readonly TrainingStep[], value: (step: TrainingStep) => number | undefined) {
  return steps.flatMap((step): [number, number][] => {
    const found = value(step);
    return found === undefined ? [] : [[step.step, found]];
  });
}

/** A running mean that forgets, corrected for its start from nothing. */
function smoothed(given: Curve['points']): [number, number][] {
  let mean = 0;
  let weight = 0;
  return given
    .filter(([, value]) => Number.isFinite(value))
    .map(([step, value]) => {
      mean = SMOOTHING * mean + (1 - SMOOTHING) * value;
      weight = SMOOTHING * weight + (1 - SMOOTHING);
      return [step, mean / weight];
    });
}

/** Bytes predicted for the whole process; 0 where nothing is known. */
export function plannedBytes({ start }: TrainingHistory): number {
  if (start === undefined) return 0;
  return Object.values(start.memory).reduce((sum, bytes) => sum + bytes, processBytes(start.threads));
}
