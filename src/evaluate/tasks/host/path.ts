import type { Point, Shape } from './display-list.js';
import { IDENTITY, type Matrix, multiply, scales, transform } from './matrix.js';

export type Geometry = Pick<Shape, 'kind' | 'x' | 'y' | 'width' | 'height' | 'points'>;

/** A whole ellipse or rectangle: the image of the unit circle around the origin, or of the unit square in its quadrant. */
interface WholeForm {
  readonly kind: 'ellipse' | 'rect';
  readonly matrix: Matrix;
}

interface SubPath {
  readonly points: Point[];
  /** Set while the sub-path is nothing but this form, of which `points` holds one point. */
  form?: WholeForm;
}

const TURN = 2 * Math.PI;
const MAX_POINTS = 20_000;
const CURVE_STEPS = 8;

/** A path as canvas contexts and `Path2D` build them; points are transformed as they come in. */
export class Path {
  /** What new points are transformed by. */
  matrix: Matrix = IDENTITY;
  #paths: SubPath[] = [];
  #count = 0;

  clear(): void {
    this.#paths = [];
    this.#count = 0;
  }

  moveTo(x: number, y: number): void {
    this.#paths.push({ points: [] });
    this.#add(x, y);
  }

  lineTo(x: number, y: number): void {
    this.#add(x, y);
  }

  closePath(): void {
    const start = this.#paths.at(-1)?.points[0];
    if (start !== undefined) this.#paths.push({ points: [start] });
  }

  rect(x: number, y: number, width: number, height: number): void {
    this.moveTo(x, y);
    this.#paths.at(-1)!.form = { kind: 'rect', matrix: multiply(this.matrix, [width, 0, 0, height, x, y]) };
    this.closePath();
  }

  /** Rounded corners make no difference to what is recorded. */
  roundRect(x: number, y: number, width: number, height: number): void {
    this.rect(x, y, width, height);
  }

  arc(x: number, y: number, radius: number, start: number, end: number, backwards = false): void {
    this.ellipse(x, y, radius, radius, 0, start, end, backwards);
  }

  ellipse(
    x: number,
    y: number,
    radiusX: number,
    radiusY: number,
    turned: number,
    start: number,
    end: number,
    backwards = false,
  ): void {
    if (![x, y, radiusX, radiusY, turned, start, end].every(Number.isFinite)) return;
    if (radiusX < 0 || radiusY < 0) throw new RangeError('the radius of an arc is negative');
    const sweep = arcSweep(start, end, backwards);
    const [cos, sin] = [Math.cos(turned), Math.sin(turned)];
    const last = this.#paths.at(-1);
    const alone = last === undefined || last.points.length <= 1;
    if (alone && Math.abs(sweep) > TURN - 0.01) {
      const own: Matrix = [cos * radiusX, sin * radiusX, -sin * radiusY, cos * radiusY, x, y];
      if (last?.form) this.#paths.push({ points: [] });
      this.#add(x + radiusX * cos, y + radiusX * sin);
      this.#paths.at(-1)!.form = { kind: 'ellipse', matrix: multiply(this.matrix, own) };
      return;
    }
    const steps = Math.max(2, Math.ceil((Math.abs(sweep) / TURN) * 32));
    for (let i = 0; i <= steps; i++) {
      const angle = start + (sweep * i) / steps;
      const [u, v] = [radiusX * Math.cos(angle), radiusY * Math.sin(angle)];
      this.#add(x + u * cos - v * sin, y + u * sin + v * cos);
    }
  }

  arcTo(x1: number, y1: number, x2: number, y2: number): void {
    this.quadraticCurveTo(x1, y1, x2, y2);
  }

  quadraticCurveTo(cx: number, cy: number, x: number, y: number): void {
    const from = this.#lastPoint() ?? transform(this.matrix, cx, cy);
    const [control, to] = [transform(this.matrix, cx, cy), transform(this.matrix, x, y)];
    for (let i = 1; i <= CURVE_STEPS; i++) {
      const t = i / CURVE_STEPS;
      const mix = (axis: 0 | 1) =>
        (1 - t) ** 2 * from[axis] + 2 * t * (1 - t) * control[axis] + t * t * to[axis];
      this.#push([mix(0), mix(1)]);
    }
  }

  bezierCurveTo(cx1: number, cy1: number, cx2: number, cy2: number, x: number, y: number): void {
    const from = this.#lastPoint() ?? transform(this.matrix, cx1, cy1);
    const [one, two, to] = [
      transform(this.matrix, cx1, cy1),
      transform(this.matrix, cx2, cy2),
      transform(this.matrix, x, y),
    ];
    for (let i = 1; i <= CURVE_STEPS; i++) {
      const t = i / CURVE_STEPS;
      const s = 1 - t;
      const mix = (axis: 0 | 1) =>
        s ** 3 * from[axis] + 3 * s * s * t * one[axis] + 3 * s * t * t * two[axis] + t ** 3 * to[axis];
      this.#push([mix(0), mix(1)]);
    }
  }

  addPath(other: Path): void {
    for (const { points, form } of other.#paths) {
      this.#paths.push({ points: [] });
      for (const [x, y] of points) this.#add(x, y);
      if (form) this.#paths.at(-1)!.form = { ...form, matrix: multiply(this.matrix, form.matrix) };
    }
  }

  /** The sub-paths that can be seen. */
  geometries(): Geometry[] {
    return this.#paths.flatMap(({ points, form }) => {
      if (form?.kind === 'ellipse') return ellipseGeometry(form.matrix) ?? [];
      return (form ? rectGeometry(form.matrix) : polygonGeometry(points)) ?? [];
    });
  }

  #lastPoint(): Point | undefined {
    return this.#paths.at(-1)?.points.at(-1);
  }

  #add(x: number, y: number): void {
    // Browsers leave out what is not finite, too.
    if (Number.isFinite(x) && Number.isFinite(y)) this.#push(transform(this.matrix, x, y));
  }

  #push(point: Point): void {
    if (this.#count++ > MAX_POINTS) {
      throw new RangeError(`a path has more than ${MAX_POINTS} points: is beginPath() missing?`);
    }
    if (this.#paths.length === 0) this.#paths.push({ points: [] });
    const path = this.#paths.at(-1)!;
    path.points.push(point);
    path.form = undefined;
  }
}

function arcSweep(start: number, end: number, backwards: boolean): number {
  const forwards = backwards ? start - end : end - start;
  const positive = forwards >= TURN ? TURN : ((forwards % TURN) + TURN) % TURN;
  return backwards ? -positive : positive;
}

/** The image of the unit circle; undefined where numbers are missing. */
function ellipseGeometry(matrix: Matrix): Geometry | undefined {
  const [a, b, c, d, x, y] = matrix;
  const [scaleX, scaleY] = scales(matrix);
  if (!Number.isFinite(scaleX + scaleY + x + y)) return undefined;
  const round = Math.abs(scaleX - scaleY) <= 0.01 * Math.max(scaleX, scaleY);
  const size = { width: 2 * Math.hypot(a, c), height: 2 * Math.hypot(b, d) };
  return { kind: round ? 'circle' : 'ellipse', x, y, ...size };
}

/** The image of the unit square; undefined where numbers are missing or nothing is to be seen. */
export function rectGeometry(matrix: Matrix): Geometry | undefined {
  const [a, b, c, d, e, f] = matrix;
  if (!Number.isFinite(a + b + c + d + e + f)) return undefined;
  if (b === 0 && c === 0) {
    if (a === 0 || d === 0) return undefined;
    return { kind: 'rect', x: e + a / 2, y: f + d / 2, width: Math.abs(a), height: Math.abs(d) };
  }
  return polygonGeometry([
    [e, f],
    [a + e, b + f],
    [a + c + e, b + d + f],
    [c + e, d + f],
  ]);
}

/** Undefined for single points, which leave no trace. */
export function polygonGeometry(given: readonly Point[]): Geometry | undefined {
  const points = given.filter((point, i) => i === 0 || !near(point, given[i - 1]!));
  if (points.length > 1 && near(points[0]!, points.at(-1)!)) points.pop();
  if (points.length < 2) return undefined;
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const [x, y] of points) {
    left = Math.min(left, x);
    right = Math.max(right, x);
    top = Math.min(top, y);
    bottom = Math.max(bottom, y);
  }
  const box = { x: (left + right) / 2, y: (top + bottom) / 2, width: right - left, height: bottom - top };
  return { kind: polygonKind(points), ...box, points };
}

/** Four right angles make a rectangle, turned or not. */
function polygonKind(points: readonly Point[]): Shape['kind'] {
  if (points.length === 2) return 'line';
  if (points.length !== 4) return 'polygon';
  const isRight = points.every(([x, y], i) => {
    const [px, py] = points[(i + 3) % 4]!;
    const [nx, ny] = points[(i + 1) % 4]!;
    const [ux, uy, vx, vy] = [px - x, py - y, nx - x, ny - y];
    return Math.abs(ux * vx + uy * vy) < 0.01 * Math.hypot(ux, uy) * Math.hypot(vx, vy);
  });
  return isRight ? 'rect' : 'polygon';
}

function near([ax, ay]: Point, [bx, by]: Point): boolean {
  return Math.abs(ax - bx) < 1e-6 && Math.abs(ay - by) < 1e-6;
}
