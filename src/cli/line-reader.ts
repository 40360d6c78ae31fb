import { createInterface, type Interface } from 'node:readline';
import type { Terminal } from './verb.js';

/** What the person did at the prompt. */
export type LineEvent =
  | { readonly kind: 'line'; readonly text: string }
  /** Ctrl-C; `typed` is the line it was pressed on. */
  | { readonly kind: 'interrupt'; readonly typed: string }
  /** Ctrl-D, or the end of the pipe. */
  | { readonly kind: 'end' };

export interface LineSource {
  next(prompt: string): Promise<LineEvent>;
  /** Whom Ctrl-C goes to while no line is awaited. */
  onInterrupt(handler: (() => void) | undefined): void;
}

/** Lines typed at a terminal, with editing and history, or read from a pipe. */
export class LineReader implements LineSource {
  readonly #readline: Interface;
  readonly #restoreInterrupt: () => void;
  readonly #typedAhead: LineEvent[] = [];
  #waiting: ((event: LineEvent) => void) | undefined;
  #interruptHandler: (() => void) | undefined;

  constructor(terminal: Terminal) {
    const { stdin, stdout } = terminal;
    const interactive = stdin.isTTY === true && stdout.isTTY === true;
    this.#readline = createInterface({
      input: stdin,
      output: interactive ? stdout : undefined,
      terminal: interactive,
      historySize: 1000,
    });
    this.#readline.on('line', (text) => this.#deliver({ kind: 'line', text }));
    this.#readline.on('close', () => this.#deliver({ kind: 'end' }));
    // At a terminal readline reads Ctrl-C as a key; from a pipe it comes as a signal.
    this.#readline.on('SIGINT', () => this.#interrupt());
    this.#restoreInterrupt = terminal.onInterrupt(() => this.#interrupt());
  }

  next(prompt: string): Promise<LineEvent> {
    const early = this.#typedAhead.shift();
    if (early) return Promise.resolve(early);
    this.#readline.setPrompt(prompt);
    this.#readline.prompt();
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }

  onInterrupt(handler: (() => void) | undefined): void {
    this.#interruptHandler = handler;
  }

  close(): void {
    this.#restoreInterrupt();
    this.#readline.close();
  }

  #interrupt(): void {
    if (this.#waiting === undefined) {
      this.#interruptHandler?.();
      return;
    }
    const typed = this.#readline.line;
    // Ctrl-U and Ctrl-K: the line that was given up must not come back with the next prompt.
    this.#readline.write(null, { ctrl: true, name: 'e' });
    this.#readline.write(null, { ctrl: true, name: 'u' });
    this.#deliver({ kind: 'interrupt', typed });
  }

  #deliver(event: LineEvent): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting) waiting(event);
    else this.#typedAhead.push(event);
  }
}
