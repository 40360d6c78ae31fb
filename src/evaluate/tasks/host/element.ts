import { EventSource } from './events.js';

/** An element of a page, as far as small games use them: texts, sizes, events. */
export class Element extends EventSource {
  readonly tagName: string;
  id = '';
  className = '';
  textContent = '';
  value = '';
  disabled = false;
  hidden = false;
  tabIndex = -1;
  readonly style: Record<string, unknown>;
  readonly dataset: Record<string, string> = {};
  readonly children: Element[] = [];
  parentNode: Element | null = null;
  readonly classList: Record<'add' | 'remove' | 'toggle' | 'contains', (name: string) => boolean>;
  readonly #attributes = new Map<string, string>();

  constructor(tag: string) {
    super();
    this.tagName = tag.toUpperCase();
    this.style = {
      setProperty: (name: string, value: unknown) => {
        this.style[name] = value;
      },
      removeProperty: (name: string) => {
        delete this.style[name];
      },
    };
    const classes = new Set<string>();
    const toggle = (name: string) => (classes.delete(name) ? false : Boolean(classes.add(name)));
    this.classList = {
      add: (name) => Boolean(classes.add(name)),
      remove: (name) => classes.delete(name),
      toggle,
      contains: (name) => classes.has(name),
    };
  }

  get innerText(): string {
    return this.textContent;
  }

  set innerText(text: unknown) {
    this.textContent = String(text);
  }

  get innerHTML(): string {
    return this.textContent;
  }

  /** Tags are dropped: what is shown is text. */
  set innerHTML(html: unknown) {
    this.textContent = String(html).replace(/<[^>]*>/g, ' ');
    this.children.length = 0;
  }

  get nodeName(): string {
    return this.tagName;
  }

  setAttribute(name: string, value: unknown): void {
    this.#attributes.set(name, String(value));
    if (name === 'id') this.id = String(value);
  }

  getAttribute(name: string): string | null {
    return this.#attributes.get(name) ?? null;
  }

  appendChild<T>(child: T): T {
    if (child instanceof Element && !this.children.includes(child)) {
      child.remove();
      child.parentNode = this;
      this.children.push(child);
    }
    return child;
  }

  append(...children: unknown[]): void {
    for (const child of children) {
      if (typeof child === 'string') this.textContent += child;
      else this.appendChild(child);
    }
  }

  prepend(...children: unknown[]): void {
    this.append(...children);
  }

  insertBefore<T>(child: T): T {
    return this.appendChild(child);
  }

  removeChild<T>(child: T): T {
    if (child instanceof Element && child.parentNode === this) child.remove();
    return child;
  }

  remove(): void {
    const siblings = this.parentNode?.children ?? [];
    const at = siblings.indexOf(this);
    if (at >= 0) siblings.splice(at, 1);
    this.parentNode = null;
  }

  focus(): void {}

  blur(): void {}

  getBoundingClientRect(): Record<string, number> {
    const { width = 0, height = 0 } = this as { width?: number; height?: number };
    return { x: 0, y: 0, left: 0, top: 0, right: width, bottom: height, width, height };
  }

  querySelector(): Element | null {
    return this.children[0] ?? null;
  }

  querySelectorAll(): readonly Element[] {
    return this.children;
  }
}
