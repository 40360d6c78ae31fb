import type { Canvas } from './canvas.js';
import { opacity } from './color.js';
import type { DisplayList, Shape } from './display-list.js';
import { IDENTITY, type Matrix, multiply, rotation, scales, transform } from './matrix.js';
import { type Geometry, Path, rectGeometry } from './path.js';

/** What `save` and `restore` keep, besides the transformation. */
const STATE = {
  fillStyle: '#000000' as unknown,
  strokeStyle: '#000000' as unknown,
  lineWidth: 1,
  lineCap: 'butt',
  lineJoin: 'miter',
  miterLimit: 10,
  lineDashOffset: 0,
  font: '10px sans-serif',
  textAlign: 'start',
  textBaseline: 'alphabetic',
  direction: 'ltr',
  globalAlpha: 1,
  globalCompositeOperation: 'source-over',
  imageSmoothingEnabled: true,
  shadowBlur: 0,
  shadowColor: 'rgba(0, 0, 0, 0)',
  shadowOffsetX: 0,
  shadowOffsetY: 0,
  filter: 'none',
};

const MAX_SAVED = 1000;
const MAX_TEXT = 200;

/** A letter is about this wide, in units of the font's size. */
const LETTER_WIDTH = 0.55;

/** `CanvasRenderingContext2D` that keeps a list of what can be seen instead of pixels. Clipping is not looked at. */
export class Context2D {
  readonly canvas: Canvas;
  readonly #list: DisplayList;
  #matrix: Matrix = IDENTITY;
  #path = new Path();
  #saved: { state: typeof STATE; matrix: Matrix }[] = [];
  #dash: readonly number[] = [];

  constructor(canvas: Canvas, list: DisplayList) {
    this.canvas = canvas;
    this.#list = list;
    Object.assign(this, STATE);
  }

  get #state(): typeof STATE {
    return this as unknown as typeof STATE;
  }

  set #transformation(matrix: Matrix) {
    this.#matrix = matrix;
    this.#path.matrix = matrix;
  }

  reset(): void {
    this.#transformation = IDENTITY;
    this.#saved = [];
    this.#path.clear();
    this.#list.reset();
    Object.assign(this, STATE);
  }

  save(): void {
    if (this.#saved.length >= MAX_SAVED) throw new RangeError('save() is called without restore()');
    const state = { ...STATE };
    const [from, to]: Record<string, unknown>[] = [this.#state, state];
    for (const key in STATE) to![key] = from![key];
    this.#saved.push({ state, matrix: this.#matrix });
  }

  restore(): void {
    const saved = this.#saved.pop();
    if (saved === undefined) return;
    Object.assign(this, saved.state);
    this.#transformation = saved.matrix;
  }

  translate(x: number, y: number): void {
    this.transform(1, 0, 0, 1, x, y);
  }

  rotate(angle: number): void {
    const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
    this.transform(cos, sin, -sin, cos, 0, 0);
  }

  scale(x: number, y: number): void {
    this.transform(x, 0, 0, y, 0, 0);
  }

  transform(...matrix: [number, number, number, number, number, number]): void {
    this.#transformation = multiply(this.#matrix, matrix);
  }

  setTransform(...given: unknown[]): void {
    const [first] = given;
    if (typeof first === 'object' && first !== null) {
      const { a = 1, b = 0, c = 0, d = 1, e = 0, f = 0 } = first as Record<string, number>;
      this.#transformation = [a, b, c, d, e, f];
    } else {
      this.#transformation = given.length === 6 ? (given as unknown as Matrix) : IDENTITY;
    }
  }

  resetTransform(): void {
    this.#transformation = IDENTITY;
  }

  getTransform(): Record<string, number> {
    const [a, b, c, d, e, f] = this.#matrix;
    return { a, b, c, d, e, f };
  }

  beginPath(): void {
    this.#path.clear();
  }

  moveTo = (x: number, y: number) => this.#path.moveTo(x, y);
  lineTo = (x: number, y: number) => this.#path.lineTo(x, y);
  closePath = () => this.#path.closePath();
  rect = (x: number, y: number, width: number, height: number) => this.#path.rect(x, y, width, height);
  roundRect = (x: number, y: number, width: number, height: number) => this.#path.rect(x, y, width, height);
  arc = (...args: Parameters<Path['arc']>) => this.#path.arc(...args);
  ellipse = (...args: Parameters<Path['ellipse']>) => this.#path.ellipse(...args);
  arcTo = (x1: number, y1: number, x2: number, y2: number) => this.#path.arcTo(x1, y1, x2, y2);
  quadraticCurveTo = (...args: Parameters<Path['quadraticCurveTo']>) => this.#path.quadraticCurveTo(...args);
  bezierCurveTo = (...args: Parameters<Path['bezierCurveTo']>) => this.#path.bezierCurveTo(...args);
  clip(): void {}

  fill(path?: unknown): void {
    this.#paint('fill', this.#geometries(path));
  }

  stroke(path?: unknown): void {
    this.#paint('stroke', this.#geometries(path));
  }

  fillRect(x: number, y: number, width: number, height: number): void {
    this.#paint('fill', this.#box(x, y, width, height));
  }

  strokeRect(x: number, y: number, width: number, height: number): void {
    this.#paint('stroke', this.#box(x, y, width, height));
  }

  clearRect(x: number, y: number, width: number, height: number): void {
    for (const geometry of this.#box(x, y, width, height)) this.#list.clear(geometry);
  }

  fillText(text: unknown, x: number, y: number): void {
    this.#text('fill', text, x, y);
  }

  strokeText(text: unknown, x: number, y: number): void {
    this.#text('stroke', text, x, y);
  }

  measureText(text: unknown): Record<string, number> {
    const size = this.#fontSize();
    const width = String(text).length * size * LETTER_WIDTH;
    return {
      width,
      actualBoundingBoxAscent: size * 0.7,
      actualBoundingBoxDescent: size * 0.2,
      actualBoundingBoxLeft: 0,
      actualBoundingBoxRight: width,
      fontBoundingBoxAscent: size * 0.9,
      fontBoundingBoxDescent: size * 0.2,
    };
  }

  drawImage(image: unknown, ...args: number[]): void {
    const { width: fullWidth = 0, height: fullHeight = 0 } = image as { width?: number; height?: number };
    const [sx, sy, sw, sh, dx, dy, dw, dh] =
      args.length >= 8
        ? (args as [number, number, number, number, number, number, number, number])
        : [0, 0, fullWidth, fullHeight, args[0]!, args[1]!, args[2] ?? fullWidth, args[3] ?? fullHeight];
    const drawn = (image as Partial<Canvas>).displayList;
    const [box] = this.#box(dx, dy, dw, dh);
    if (box === undefined || sw === 0 || sh === 0) return;
    if (drawn === undefined) {
      this.#add(
        { ...box, kind: 'image', paint: 'fill', color: 'image', angle: rotation(this.#matrix) },
        true,
      );
      return;
    }
    const into = multiply(this.#matrix, [dw / sw, 0, 0, dh / sh, dx - (sx * dw) / sw, dy - (sy * dh) / sh]);
    for (const shape of drawn.shapes) this.#add(moved(shape, into), opacity(shape.color) === 1);
  }

  createLinearGradient = () => new Gradient();
  createRadialGradient = () => new Gradient();
  createConicGradient = () => new Gradient();
  createPattern = () => new Gradient();

  setLineDash(dash: readonly number[]): void {
    this.#dash = [...dash];
  }

  getLineDash(): readonly number[] {
    return this.#dash;
  }

  createImageData(width: number, height: number): Record<string, unknown> {
    const [columns, rows] = [Math.min(4096, Math.abs(width)), Math.min(4096, Math.abs(height))];
    return { width: columns, height: rows, data: new Uint8ClampedArray(4 * columns * rows) };
  }

  getImageData(_x: number, _y: number, width: number, height: number): Record<string, unknown> {
    return this.createImageData(width, height);
  }

  putImageData(): void {}

  isPointInPath(): boolean {
    return false;
  }

  isPointInStroke(): boolean {
    return false;
  }

  #geometries(path: unknown): Geometry[] {
    if (!(path instanceof Path)) return this.#path.geometries();
    const whole = new Path();
    whole.matrix = this.#matrix;
    whole.addPath(path);
    return whole.geometries();
  }

  #box(x: number, y: number, width: number, height: number): Geometry[] {
    return [rectGeometry(multiply(this.#matrix, [width, 0, 0, height, x, y])) ?? []].flat();
  }

  #paint(paint: Shape['paint'], geometries: readonly Geometry[]): void {
    const color = styleName(paint === 'fill' ? this.#state.fillStyle : this.#state.strokeStyle);
    const strength = opacity(color) * this.#state.globalAlpha;
    if (!(strength > 0)) return;
    const isUpright = this.#matrix[1] === 0 && this.#matrix[2] === 0;
    for (const geometry of geometries) this.#add({ ...geometry, paint, color }, strength === 1 && isUpright);
  }

  #text(paint: Shape['paint'], value: unknown, x: number, y: number): void {
    const { textAlign, textBaseline, fillStyle, strokeStyle, globalAlpha } = this.#state;
    const color = styleName(paint === 'fill' ? fillStyle : strokeStyle);
    const text = String(value).slice(0, MAX_TEXT);
    if (text.trim() === '' || !(opacity(color) * globalAlpha > 0)) return;
    const size = this.#fontSize();
    const width = text.length * size * LETTER_WIDTH;
    const right = { center: 0, right: -0.5, end: -0.5 }[textAlign] ?? 0.5;
    const down =
      { middle: 0, top: 0.5, hanging: 0.4, bottom: -0.5, ideographic: -0.5 }[textBaseline] ?? -0.35;
    const [cx, cy] = transform(this.#matrix, x + right * width, y + down * size);
    if (!Number.isFinite(cx + cy)) return;
    const [scaleX, scaleY] = scales(this.#matrix);
    this.#add(
      {
        kind: 'text',
        paint,
        color,
        x: cx,
        y: cy,
        width: width * scaleX,
        height: size * scaleY,
        text,
        angle: rotation(this.#matrix),
      },
      false,
    );
  }

  #fontSize(): number {
    const found = /([\d.]+)\s*(px|pt|r?em)/.exec(String(this.#state.font));
    const unit = { px: 1, pt: 4 / 3 }[found?.[2] ?? ''] ?? 16;
    return Math.min(1000, (Number(found?.[1]) || 10) * (found ? unit : 1));
  }

  #add(shape: Shape, covers: boolean): void {
    this.#list.add(shape, covers);
  }
}

class Gradient {
  addColorStop(): void {}
  setTransform(): void {}
}

function styleName(style: unknown): string {
  return typeof style === 'string' ? style.trim().toLowerCase().slice(0, 60) : 'gradient';
}

function moved(shape: Shape, matrix: Matrix): Shape {
  const [x, y] = transform(matrix, shape.x, shape.y);
  const [scaleX, scaleY] = scales(matrix);
  const points = shape.points?.map(([px, py]) => transform(matrix, px, py));
  const angle = shape.angle === undefined ? undefined : shape.angle + rotation(matrix);
  return { ...shape, x, y, width: shape.width * scaleX, height: shape.height * scaleY, points, angle };
}
