import { Context2D } from './context-2d.js';
import { DisplayList } from './display-list.js';
import { Element } from './element.js';

const LARGEST = 4096;

/** `<canvas>` with a 2D context. */
export class Canvas extends Element {
  readonly displayList: DisplayList;
  #context: Context2D | undefined;

  constructor(width: number, height: number) {
    super('canvas');
    this.displayList = new DisplayList(width, height);
  }

  get width(): number {
    return this.displayList.width;
  }

  set width(value: number) {
    this.displayList.width = pixels(value, 300);
    this.#resized();
  }

  get height(): number {
    return this.displayList.height;
  }

  set height(value: number) {
    this.displayList.height = pixels(value, 150);
    this.#resized();
  }

  get clientWidth(): number {
    return this.width;
  }

  get clientHeight(): number {
    return this.height;
  }

  getContext(kind: string): Context2D | null {
    if (kind !== '2d') return null;
    this.#context ??= new Context2D(this, this.displayList);
    return this.#context;
  }

  toDataURL(): string {
    return 'data:,';
  }

  override setAttribute(name: string, value: unknown): void {
    super.setAttribute(name, value);
    if (name === 'width' || name === 'height') this[name] = Number(value);
  }

  /** Setting a size clears a canvas, even if it is the size it has. */
  #resized(): void {
    if (this.#context) this.#context.reset();
    else this.displayList.reset();
  }
}

function pixels(value: number, otherwise: number): number {
  const whole = Math.floor(Number(value));
  return whole >= 0 ? Math.min(LARGEST, whole) : otherwise;
}
