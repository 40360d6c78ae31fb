/** A point in pixels of the canvas. */
export type Point = readonly [number, number];

/** One thing that can be seen on a canvas, in pixels of the canvas, all transformations applied. */
export interface Shape {
  readonly kind: 'rect' | 'circle' | 'ellipse' | 'polygon' | 'line' | 'text' | 'image';
  readonly paint: 'fill' | 'stroke';
  /** As the program wrote it, in lower case; `gradient` for gradients and patterns. */
  readonly color: string;
  /** Centre and size of the box around it. */
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  /** Corners, of rectangles, polygons and lines. */
  readonly points?: readonly Point[];
  /** Of texts. */
  readonly text?: string;
  /** Radians by which a text or an image is turned. */
  readonly angle?: number;
}

const MAX_SHAPES = 5000;
/** Edges that differ by less are the same: borders are often drawn half a pixel off. */
const SLACK = 0.75;

/**
 * What is visible on a canvas: shapes in the order in which they were drawn, without those that an opaque rectangle or a
 * cleared area has covered since.
 */
export class DisplayList {
  width: number;
  height: number;
  #shapes: Shape[] = [];

  constructor(width: number, height: number) {
    this.width = width;
    this.height = height;
  }

  get shapes(): readonly Shape[] {
    return this.#shapes;
  }

  reset(): void {
    this.#shapes = [];
  }

  /** Adds a shape; `covers` when nothing beneath it shows through. */
  add(shape: Shape, covers: boolean): void {
    const isFilledRect = shape.kind === 'rect' && shape.paint === 'fill';
    // A translucent layer over everything fades the last picture out: it is a way to clear.
    if (isFilledRect && (covers || this.#coversAll(shape))) this.clear(shape);
    if (this.#shapes.length === MAX_SHAPES) this.#shapes.shift();
    this.#shapes.push(shape);
  }

  /** Removes what lies within a box given by its centre and size, as far as the canvas shows it. */
  clear({ x, y, width, height }: Pick<Shape, 'x' | 'y' | 'width' | 'height'>): void {
    if (this.#shapes.length === 0) return;
    const [left, right] = [x - width / 2 - SLACK, x + width / 2 + SLACK];
    const [top, bottom] = [y - height / 2 - SLACK, y + height / 2 + SLACK];
    this.#shapes = this.#shapes.filter(
      (shape) =>
        Math.max(0, shape.x - shape.width / 2) < left ||
        Math.min(this.width, shape.x + shape.width / 2) > right ||
        Math.max(0, shape.y - shape.height / 2) < top ||
        Math.min(this.height, shape.y + shape.height / 2) > bottom,
    );
  }

  #coversAll({ x, y, width, height }: Shape): boolean {
    return (
      x - width / 2 <= SLACK &&
      y - height / 2 <= SLACK &&
      x + width / 2 >= this.width - SLACK &&
      y + height / 2 >= this.height - SLACK
    );
  }
}
