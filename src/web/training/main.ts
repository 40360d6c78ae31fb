// The live page of a training run: draws what its server tells, with the same functions that the server and the report
// draw with.
import type { TrainingEvent } from '../../train/events.js';
import { decimal } from '../../train/report/figures.js';
import { TrainingHistory, type TrainingSnapshot } from '../../train/report/training-history.js';
import { trainingTexts } from '../../train/report/training-texts.js';
import { trainingView } from '../../train/report/training-view.js';

/** Drawing takes some milliseconds of a processor that trains. */
const REDRAW_MILLISECONDS = 500;

const texts = trainingTexts(document.documentElement.lang === 'ja' ? 'ja' : 'en');
const lost = document.getElementById('lost')!;
const drawn = new Map<string, string>();
let history = new TrainingHistory();
let waiting = false;

const source = new EventSource('events');
source.addEventListener('open', () => {
  lost.hidden = true;
});
source.addEventListener('message', ({ data }: MessageEvent<string>) => {
  const message = JSON.parse(data) as { history?: TrainingSnapshot; events?: TrainingEvent[] };
  if (message.history !== undefined) history = TrainingHistory.fromSnapshot(message.history);
  for (const event of message.events ?? []) history.add(event);
  // Nothing follows, and the server is about to leave.
  if (history.end !== undefined) source.close();
  redrawSoon();
});
source.addEventListener('error', () => {
  lost.hidden = false;
});
document.addEventListener('visibilitychange', redrawSoon);

function redrawSoon(): void {
  if (waiting || document.hidden) return;
  waiting = true;
  setTimeout(() => {
    waiting = false;
    redraw();
  }, REDRAW_MILLISECONDS);
}

function redraw(): void {
  for (const [id, part] of Object.entries(trainingView(history, texts))) {
    const text = String(part ?? '');
    if (drawn.get(id) === text) continue;
    drawn.set(id, text);
    document.getElementById(id)!.innerHTML = text;
  }
  const step = history.steps.at(-1);
  const title = texts('title');
  document.title =
    step === undefined
      ? title
      : `${step.step}/${history.start?.totalSteps} · ${decimal(step.loss)} · ${title}`;
}
