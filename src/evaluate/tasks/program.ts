import type { ElementSpec } from './host/page.js';

export interface Script {
  readonly code: string;
  /** The name that errors are reported under. */
  readonly file: string;
}

/** What is run: scripts in order, and the elements of the page they belong to. */
export interface Program {
  readonly scripts: readonly Script[];
  readonly elements: readonly ElementSpec[];
}
