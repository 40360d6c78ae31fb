import { Canvas } from './canvas.js';
import { Clock } from './clock.js';
import { Context2D } from './context-2d.js';
import type { Shape } from './display-list.js';
import { Element } from './element.js';
import { createEvent, EventSource, type Guard, keyFields } from './events.js';
import { Page, type PageOptions } from './page.js';
import { Path } from './path.js';

export interface HostOptions extends PageOptions {
  readonly seed: number;
}

/** What a program threw out of a callback. */
export interface Thrown {
  readonly name: string;
  readonly message: string;
  readonly stack: string;
}

export type Command =
  | { readonly do: 'loaded' }
  | { readonly do: 'frame' }
  | { readonly do: 'screen' }
  | { readonly do: 'output' }
  | { readonly do: 'key'; readonly type: 'keydown' | 'keyup'; readonly key: string }
  | { readonly do: 'pointer'; readonly x: number; readonly y: number };

export interface Screen {
  readonly width: number;
  readonly height: number;
  readonly shapes: readonly Shape[];
  /** Everything written: on the canvas, then in other elements. */
  readonly texts: readonly string[];
}

export interface Reply {
  readonly error?: Thrown;
  readonly screen?: Screen;
  readonly output?: readonly string[];
}

/** 1 January 2026, so that programs see the same date whenever they run. */
const EPOCH = 1_767_225_600_000;
const MAX_OUTPUT_CHARACTERS = 65_536;

/**
 * Makes `global` a small browser window and returns what drives it: commands and replies are JSON, so that nothing of
 * the program's world is handed out.
 */
export function createWindow(global: Record<string, unknown>, json: string): (command: string) => string {
  const { parse, stringify } = JSON;
  const options = parse(json) as HostOptions;
  let thrown: Thrown | undefined;
  const guard: Guard = (run) => {
    try {
      run();
    } catch (error) {
      thrown ??= describeThrown(error);
    }
  };
  const clock = new Clock(guard);
  const page = new Page(options);
  const windowEvents = new EventSource();
  const output = new Output();
  defineWindow(global, { options, clock, page, windowEvents, output });

  /** From the element up to the window, as events bubble. */
  const dispatch = (type: string, fields: Record<string, unknown>, target: Element) => {
    const event = createEvent(type, { ...fields, target });
    for (const source of new Set<EventSource>([target, page.body, page, windowEvents])) {
      if (event.stopped) return;
      // `window.onkeydown = …` lands on the global object.
      if (source === windowEvents) Object.assign(source, { [`on${type}`]: global[`on${type}`] });
      source.handle(event, guard);
    }
  };
  const run = (command: Command): Omit<Reply, 'error'> => {
    switch (command.do) {
      case 'loaded':
        dispatch('DOMContentLoaded', {}, page);
        windowEvents.handle(createEvent('load', {}), guard);
        if (typeof global.onload === 'function') guard(() => (global.onload as () => unknown)());
        return {};
      case 'frame':
        clock.advance();
        return {};
      case 'screen':
        return { screen: screenOf(page) };
      case 'output':
        return { output: output.lines };
      case 'key':
        dispatch(command.type, keyFields(command.key), page.shown);
        return {};
      case 'pointer': {
        const { x, y } = command;
        const at = { clientX: x, clientY: y, offsetX: x, offsetY: y, pageX: x, pageY: y, x, y, button: 0 };
        for (const type of ['pointerdown', 'mousedown', 'pointerup', 'mouseup', 'click']) {
          dispatch(type, at, page.shown);
        }
        return {};
      }
    }
  };
  return (command) => {
    const reply = run(parse(command) as Command);
    const error = thrown;
    thrown = undefined;
    return stringify({ ...reply, error });
  };
}

function screenOf(page: Page): Screen {
  const { width, height, displayList } = page.shown;
  const { shapes } = displayList;
  const written = shapes.map(({ text = '' }) => text).filter(Boolean);
  return { width, height, shapes, texts: [...written, ...page.texts] };
}

interface WindowParts {
  readonly options: HostOptions;
  readonly clock: Clock;
  readonly page: Page;
  readonly windowEvents: EventSource;
  readonly output: Output;
}

function defineWindow(global: Record<string, unknown>, parts: WindowParts): void {
  const { options, clock, page, windowEvents, output } = parts;
  const { canvas } = page;
  const storage = new Map<string, string>();
  const RealDate = Date;
  Math.random = seededRandom(options.seed);
  class SimulatedDate extends RealDate {
    constructor(...args: [] | [number]) {
      super(...((args.length === 0 ? [SimulatedDate.now()] : args) as [number]));
    }

    static override now(): number {
      return EPOCH + Math.floor(clock.now);
    }
  }
  const size = { innerWidth: options.width, innerHeight: options.height };
  const timer =
    (repeat: boolean) =>
    (callback: unknown, delay?: unknown, ...args: unknown[]) =>
      clock.setTimer(callback, delay, args, repeat);
  Object.assign(global, {
    ...size,
    outerWidth: size.innerWidth,
    outerHeight: size.innerHeight,
    devicePixelRatio: 1,
    window: global,
    self: global,
    document: page,
    canvas,
    ctx: canvas.getContext('2d'),
    Date: SimulatedDate,
    performance: { now: () => clock.now, mark: () => {}, measure: () => {} },
    console: consoleInto(output),
    requestAnimationFrame: (callback: unknown) => clock.requestFrame(callback),
    cancelAnimationFrame: (id: unknown) => clock.cancelFrame(id),
    setTimeout: timer(false),
    setInterval: timer(true),
    clearTimeout: (id: unknown) => clock.clearTimer(id),
    clearInterval: (id: unknown) => clock.clearTimer(id),
    queueMicrotask: (callback: () => unknown) => void Promise.resolve().then(callback),
    addEventListener: windowEvents.addEventListener.bind(windowEvents),
    removeEventListener: windowEvents.removeEventListener.bind(windowEvents),
    dispatchEvent: windowEvents.dispatchEvent.bind(windowEvents),
    localStorage: {
      getItem: (key: string) => storage.get(String(key)) ?? null,
      setItem: (key: string, value: unknown) => {
        if (storage.size < 1000) storage.set(String(key), String(value).slice(0, 10_000));
      },
      removeItem: (key: string) => storage.delete(String(key)),
      clear: () => storage.clear(),
    },
    alert: (text: unknown) => output.write(`alert: ${String(text)}`),
    confirm: () => true,
    prompt: () => null,
    matchMedia: () => ({ matches: false, addEventListener: () => {}, addListener: () => {} }),
    navigator: { userAgent: 'cria', language: 'en', maxTouchPoints: 0 },
    location: { href: 'about:blank', reload: () => {} },
    Path2D: Path,
    HTMLElement: Element,
    HTMLCanvasElement: Canvas,
    CanvasRenderingContext2D: Context2D,
    Image: class extends Element {
      constructor() {
        super('img');
      }
    },
    Audio: class extends Element {
      constructor() {
        super('audio');
      }
      play(): Promise<void> {
        return Promise.resolve();
      }
      pause(): void {}
    },
  });
}

function consoleInto(output: Output): Record<string, unknown> {
  const log = (...values: unknown[]) => output.write(values.map(shown).join(' '));
  return { log, info: log, warn: log, error: log, debug: log, table: log, assert: () => {}, clear: () => {} };
}

function shown(value: unknown): string {
  if (typeof value === 'string') return value;
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  if (typeof value !== 'object' || value === null) return String(value);
  try {
    return JSON.stringify(value);
  } catch {
    return String(value);
  }
}

/** Keeps the first lines: a program that writes in every frame must not fill the memory. */
class Output {
  readonly lines: string[] = [];
  #room = MAX_OUTPUT_CHARACTERS;

  write(line: string): void {
    if (this.#room <= 0) return;
    this.lines.push(line.slice(0, this.#room));
    this.#room -= line.length + 1;
  }
}

export function describeThrown(error: unknown): Thrown {
  if (error instanceof Error) {
    return { name: String(error.name), message: String(error.message), stack: String(error.stack) };
  }
  return { name: 'Error', message: `a value that is no error was thrown: ${shown(error)}`, stack: '' };
}

/** Numbers in [0, 1) from a 32-bit seed: a Weyl sequence, its bits mixed by MurmurHash3's finalizer. */
function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let bits = state;
    bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
    bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
    return ((bits ^ (bits >>> 16)) >>> 0) / 2 ** 32;
  };
}
