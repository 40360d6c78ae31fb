export interface HostEvent {
  readonly type: string;
  target?: unknown;
  currentTarget?: unknown;
  stopped?: boolean;
  [key: string]: unknown;
}

type Listener = ((event: HostEvent) => unknown) | { handleEvent(event: HostEvent): unknown };

/** Runs a callback of the program and keeps what it throws. */
export type Guard = (run: () => unknown) => void;

/** What listens to events: elements, the document, the window. `on…` properties count as listeners. */
export class EventSource {
  #listeners: { type: string; listener: Listener; once: boolean }[] = [];

  addEventListener(type: string, listener: Listener | null, options?: boolean | { once?: boolean }): void {
    if (listener === null || this.#listeners.some((l) => l.type === type && l.listener === listener)) return;
    this.#listeners.push({ type, listener, once: typeof options === 'object' && options?.once === true });
  }

  removeEventListener(type: string, listener: Listener | null): void {
    this.#listeners = this.#listeners.filter((l) => l.type !== type || l.listener !== listener);
  }

  dispatchEvent(event: HostEvent): boolean {
    this.handle(event, (run) => run());
    return true;
  }

  handle(event: HostEvent, guard: Guard): void {
    event.currentTarget = this;
    const property = (this as unknown as Record<string, unknown>)[`on${event.type}`];
    if (typeof property === 'function') guard(() => property.call(this, event));
    for (const entry of this.#listeners.filter(({ type }) => type === event.type)) {
      if (entry.once) this.#listeners = this.#listeners.filter((l) => l !== entry);
      const { listener } = entry;
      guard(() =>
        typeof listener === 'function' ? listener.call(this, event) : listener.handleEvent(event),
      );
    }
  }
}

/** An event with `fields`, and the methods handlers call. */
export function createEvent(type: string, fields: Readonly<Record<string, unknown>>): HostEvent {
  const event: HostEvent = {
    ...fields,
    type,
    defaultPrevented: false,
    preventDefault: () => {
      event.defaultPrevented = true;
    },
    stopPropagation: () => {
      event.stopped = true;
    },
    stopImmediatePropagation: () => {
      event.stopped = true;
    },
  };
  return event;
}

const CODES: Readonly<Record<string, readonly [key: string, code: number]>> = {
  Space: [' ', 32],
  Enter: ['Enter', 13],
  Escape: ['Escape', 27],
  ArrowLeft: ['ArrowLeft', 37],
  ArrowUp: ['ArrowUp', 38],
  ArrowRight: ['ArrowRight', 39],
  ArrowDown: ['ArrowDown', 40],
};

/** What keyboard events say of a key named by its `code` (`Space`, `ArrowLeft`) or its letter or digit. */
export function keyFields(name: string): Record<string, unknown> {
  const known = CODES[name === ' ' ? 'Space' : name];
  const [key, keyCode] = known ?? [name, name.toUpperCase().charCodeAt(0)];
  const isLetter = /^[a-z]$/i.test(name);
  const code =
    name === ' '
      ? 'Space'
      : isLetter
        ? `Key${name.toUpperCase()}`
        : /^\d$/.test(name)
          ? `Digit${name}`
          : name;
  return {
    key,
    code,
    keyCode,
    which: keyCode,
    repeat: false,
    ctrlKey: false,
    shiftKey: false,
    altKey: false,
    metaKey: false,
  };
}
