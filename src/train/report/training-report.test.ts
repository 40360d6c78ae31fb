import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { tempFolder } from '../../base/testing/temp-folder.js';
import type { TrainingEvent } from '../events.js';
import { duration } from './figures.js';
import { sampleRun } from './testing/sample-run.js';
import { TrainingHistory } from './training-history.js';
import { trainingReport, writeTrainingReport } from './training-report.js';
import { trainingTexts } from './training-texts.js';
import { trainingView } from './training-view.js';
import { axisFor } from './value-axis.js';

function historyOf(events: readonly TrainingEvent[]): TrainingHistory {
  const history = new TrainingHistory();
  for (const event of events) history.add(event);
  return history;
}

describe('the history of a run', () => {
  const log = (events: readonly TrainingEvent[]) =>
    events.map((event) => `${JSON.stringify(event)}\n`).join('');

  it('comes back from its log, of which the last line may be cut', () => {
    const events = sampleRun(30);
    expect(TrainingHistory.fromLog(`${log(events)}{"event":"st`)).toEqual(historyOf(events));
  });

  it('comes back from JSON', () => {
    const history = historyOf([...sampleRun(30), { ...sampleRun(0)[0]!, firstStep: 20 } as TrainingEvent]);
    const copy = TrainingHistory.fromSnapshot(JSON.parse(JSON.stringify(history)));
    expect(copy).toEqual(history);
    expect(copy.seconds).toBe(20);
  });

  it('forgets the steps that a resumed run does again, and adds up the time', () => {
    const first = sampleRun(30).filter(({ event }) => event !== 'end');
    const start = first.find((event) => event.event === 'start')!;
    const history = historyOf([...first, { ...start, firstStep: 20 }]);
    expect(history.steps.map(({ step }) => step)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
    expect(history.evaluations.map(({ step }) => step)).toEqual([10, 20]);
    const before = history.seconds;
    history.add({ ...history.steps.at(-1)!, event: 'step', step: 21, seconds: 5 });
    expect([before, history.seconds]).toEqual([20, 25]);
    history.add(start);
    expect(history).toEqual(historyOf([start]));
  });
});

describe('the report of a run', () => {
  it('shows figures, curves and configuration, and needs nothing else', async () => {
    const path = join(await tempFolder(), 'report.html');
    await writeTrainingReport(path, historyOf(sampleRun(400)));
    const page = await readFile(path, 'utf8');
    for (const text of [
      '400 of 400',
      'evaluation loss',
      'learning-rate',
      '2.00 GB',
      'finished',
      'step-400',
    ]) {
      expect(page).toContain(text);
    }
    expect(page.match(/<figure>/g)).toHaveLength(5);
    expect(page).not.toMatch(/https?:|<script|NaN|undefined|Infinity/);
    expect(page.length).toBeLessThan(500_000);
  });

  it('says so before the first step, and where it failed', () => {
    expect(trainingReport(new TrainingHistory())).toContain('The model is being loaded.');
    const failed = [...sampleRun(3).slice(0, 1), ...sampleRun(0, 'failed').slice(-1)];
    expect(trainingReport(historyOf(failed))).toContain('<strong>failed</strong>: the disk is full');
  });

  it('keeps names and texts from becoming markup', () => {
    const [start] = sampleRun(0);
    const bad = '<script>alert(1)</script>';
    const page = trainingReport(
      historyOf([
        {
          ...(start as TrainingEvent & { event: 'start' }),
          model: bad,
          output: bad,
          options: { [bad]: bad },
        },
        { event: 'warning', message: bad },
      ]),
    );
    expect(page).not.toContain('<script');
  });

  it('has every text in both languages', () => {
    const [english, japanese] = (['en', 'ja'] as const).map((language) =>
      Object.values(trainingView(historyOf(sampleRun(30)), trainingTexts(language))).join(''),
    );
    expect(japanese).toContain('評価損失');
    expect(japanese).not.toMatch(/evaluation loss|tokens per second|Configuration/);
    expect(english).not.toMatch(/[\u3040-\u30ff\u4e00-\u9fff]/);
  });

  it('draws any figures, numbers or not', () => {
    const figure = fc.oneof(fc.double(), fc.constantFrom(0, Number.NaN, Number.POSITIVE_INFINITY, 1e-300));
    fc.assert(
      fc.property(fc.array(fc.tuple(figure, figure, figure), { maxLength: 6 }), (figures) => {
        const events = sampleRun(figures.length).map((event) => {
          if (event.event !== 'step') return event;
          const [loss, gradientNorm, learningRate] = figures[event.step - 1]!;
          return { ...event, loss, gradientNorm, learningRate };
        });
        const curves = String(trainingView(historyOf(events), trainingTexts('en')).curves);
        expect(curves.replaceAll(/<text[^>]*>[^<]*/g, '')).not.toMatch(/NaN|Infinity|undefined/);
      }),
    );
  });
});

describe('axes', () => {
  it('hold all values between few round ticks', () => {
    const value = fc.double({ min: -1e12, max: 1e12, noNaN: true });
    fc.assert(
      fc.property(fc.array(value, { minLength: 1 }), (values) => {
        const { place, ticks } = axisFor(values);
        for (const one of values) expect(place(one)).toBeGreaterThanOrEqual(-1e-6);
        for (const one of values) expect(place(one)).toBeLessThanOrEqual(1 + 1e-6);
        expect(ticks.length).toBeGreaterThan(1);
        expect(ticks.length).toBeLessThan(10);
      }),
    );
  });

  it('are logarithmic where values differ much', () => {
    expect(axisFor([0.002, 3]).ticks).toEqual([0.001, 0.01, 0.1, 1, 10]);
    expect(axisFor([1, 3]).ticks).toEqual([1, 1.5, 2, 2.5, 3]);
  });
});

it('durations are short', () => {
  expect([5, 65, 3661, 90_061].map(duration)).toEqual(['0:05', '1:05', '1:01:01', '1d 01:01:01']);
});
