import { Canvas } from './canvas.js';
import { Element } from './element.js';

/** An element that the page's HTML names. */
export interface ElementSpec {
  readonly tag: string;
  readonly id: string;
  readonly text: string;
  readonly width?: number;
  readonly height?: number;
}

export interface PageOptions {
  readonly width: number;
  readonly height: number;
  readonly elements: readonly ElementSpec[];
}

/** The document: one canvas that is shown, and elements with ids. */
export class Page extends Element {
  readonly body = new Element('body');
  readonly head = new Element('head');
  readonly documentElement = new Element('html');
  readonly readyState = 'complete';
  readonly visibilityState = 'visible';
  readonly hasFocus = () => true;
  title = '';
  readonly #byId = new Map<string, Element>();
  readonly #main: Canvas;

  constructor({ width, height, elements }: PageOptions) {
    super('#document');
    const main = elements.find(({ tag }) => tag === 'canvas');
    this.#main = new Canvas(main?.width ?? width, main?.height ?? height);
    this.#main.id = main?.id || 'canvas';
    this.#byId.set(this.#main.id, this.#main);
    for (const spec of elements) {
      if (spec === main || spec.id === '') continue;
      const element = this.createElement(spec.tag);
      element.id = spec.id;
      element.textContent = spec.text;
      this.#byId.set(spec.id, element);
    }
  }

  /** What is looked at: the canvas the program put into the page, or the page's own. */
  get shown(): Canvas {
    const own = this.#main.displayList.shapes.length > 0;
    const added = this.body.children.filter((child) => child instanceof Canvas);
    return (own ? undefined : added.find(({ displayList }) => displayList.shapes.length > 0)) ?? this.#main;
  }

  /** Texts of elements outside the canvas. */
  get texts(): string[] {
    return [...this.#byId.values(), ...this.body.children]
      .map(({ textContent, hidden }) => (hidden ? '' : String(textContent).trim().slice(0, 200)))
      .filter(Boolean);
  }

  get canvas(): Canvas {
    return this.#main;
  }

  createElement(tag: unknown): Element {
    const name = String(tag).toLowerCase();
    return name === 'canvas' ? new Canvas(300, 150) : new Element(name);
  }

  /** Of an id nobody knows: the canvas if it sounds like one, as programs of a single file have no HTML. */
  getElementById(id: string): Element | null {
    const found = this.#byId.get(id) ?? this.body.children.find((child) => child.id === id);
    if (found) return found;
    return /canvas|game|board|screen/i.test(id) ? this.#main : null;
  }

  override querySelector(selector?: string): Element | null {
    const text = String(selector).trim();
    if (text.startsWith('#')) return this.getElementById(text.slice(1));
    if (text === 'body') return this.body;
    return text.includes('canvas') ? this.#main : null;
  }

  override querySelectorAll(selector?: string): readonly Element[] {
    return [this.querySelector(selector) ?? []].flat();
  }

  getElementsByTagName(tag: string): readonly Element[] {
    return this.querySelectorAll(tag);
  }
}
