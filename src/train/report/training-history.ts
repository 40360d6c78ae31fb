import type {
  TrainingCheckpoint,
  TrainingEnd,
  TrainingEvaluation,
  TrainingEvent,
  TrainingStart,
  TrainingStep,
} from '../events.js';

/** A history as JSON. */
export interface TrainingSnapshot {
  readonly start?: TrainingStart;
  readonly end?: TrainingEnd;
  readonly steps: readonly TrainingStep[];
  readonly evaluations: readonly TrainingEvaluation[];
  readonly checkpoints: readonly TrainingCheckpoint[];
  readonly warnings: readonly string[];
  readonly seconds: readonly number[];
  readonly secondsBefore: number;
}

/** What happened in a run, over all the times it was resumed: what its page and its report show. */
export class TrainingHistory {
  start: TrainingStart | undefined;
  end: TrainingEnd | undefined;
  steps: TrainingStep[] = [];
  evaluations: TrainingEvaluation[] = [];
  checkpoints: TrainingCheckpoint[] = [];
  warnings: string[] = [];
  /** Of each step, the seconds from the first run's start to its end, without those between runs. */
  #seconds: number[] = [];
  /** The same of what this run resumed. */
  #secondsBefore = 0;

  /** Restores a history from `train-log.jsonl`. Lines that are no events, as where a write was cut, are left out. */
  static fromLog(text: string): TrainingHistory {
    const history = new TrainingHistory();
    for (const line of text.split('\n')) {
      const event = parseEvent(line);
      if (event !== undefined) history.add(event);
    }
    return history;
  }

  static fromSnapshot(snapshot: TrainingSnapshot): TrainingHistory {
    const history = new TrainingHistory();
    history.start = snapshot.start;
    history.end = snapshot.end;
    history.steps = [...snapshot.steps];
    history.evaluations = [...snapshot.evaluations];
    history.checkpoints = [...snapshot.checkpoints];
    history.warnings = [...snapshot.warnings];
    history.#seconds = [...snapshot.seconds];
    history.#secondsBefore = snapshot.secondsBefore;
    return history;
  }

  /** For `fromSnapshot`. */
  toJSON(): TrainingSnapshot {
    const { start, end, steps, evaluations, checkpoints, warnings } = this;
    const seconds = this.#seconds;
    return {
      start,
      end,
      steps,
      evaluations,
      checkpoints,
      warnings,
      seconds,
      secondsBefore: this.#secondsBefore,
    };
  }

  add(event: TrainingEvent): void {
    switch (event.event) {
      case 'start':
        this.#begin(event);
        break;
      case 'step':
        this.steps.push(event);
        this.#seconds.push(this.#secondsBefore + event.seconds);
        break;
      case 'evaluation':
        this.evaluations.push(event);
        break;
      case 'checkpoint':
        this.checkpoints.push(event);
        break;
      case 'warning':
        this.warnings.push(event.message);
        break;
      case 'end':
        this.end = event;
        break;
    }
  }

  /** Of all runs together. */
  get seconds(): number {
    return this.end === undefined ? (this.#seconds.at(-1) ?? 0) : this.#secondsBefore + this.end.seconds;
  }

  get bestEvaluation(): TrainingEvaluation | undefined {
    return this.evaluations.findLast(({ best }) => best);
  }

  /** Steps after the checkpoint that a run resumes are done again, so what they gave counts no more. */
  #begin(start: TrainingStart): void {
    const { firstStep } = start;
    const isKept = ({ step }: { step: number }) => step <= firstStep;
    this.steps = this.steps.filter(isKept);
    this.evaluations = this.evaluations.filter(isKept);
    this.checkpoints = this.checkpoints.filter(isKept);
    this.#seconds.length = this.steps.length;
    this.#secondsBefore = this.#seconds.at(-1) ?? 0;
    if (firstStep === 0) this.warnings = [];
    this.start = start;
    this.end = undefined;
  }
}

function parseEvent(line: string): TrainingEvent | undefined {
  try {
    const value = JSON.parse(line) as TrainingEvent | null;
    return typeof value === 'object' && value !== null && 'event' in value ? value : undefined;
  } catch {
    return undefined;
  }
}
