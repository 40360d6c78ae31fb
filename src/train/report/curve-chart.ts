import { type Html, html } from '../../base/html.js';
import { axisFor, type ValueAxis } from './value-axis.js';

export interface Curve {
  readonly name: string;
  /** Step and value, by ascending step. Values that are no numbers of 32 bits are left out. */
  readonly points: readonly (readonly [number, number])[];
  readonly style: 'line' | 'faint' | 'dashed' | 'dots';
}

export interface CurveChart {
  /** What somebody who cannot see the chart should know. */
  readonly description: string;
  readonly stepName: string;
  readonly curves: readonly Curve[];
  readonly format: (value: number) => string;
  /** Whether the axis shows 0 whatever the values are. */
  readonly fromZero?: boolean;
}

const WIDTH = 520;
const HEIGHT = 220;
const PLOT = { left: 58, right: WIDTH - 12, top: 24, bottom: HEIGHT - 26 };
/** Differences of larger values would be infinite. */
const LARGEST = 2 ** 128;
/** A curve of more points is drawn by the means of so many ranges of steps. */
const COLUMNS = 160;

/**
 * Curves over the steps of a run, as SVG: the same in the report and, drawn anew as they grow, on the live page. Values
 * show where the pointer rests, by style alone. Pure.
 */
export function curveChart({ description, stepName, curves: given, format, fromZero }: CurveChart): Html {
  const curves = given.map((curve) => ({
    ...curve,
    points: condense(curve.points.filter(([, value]) => Number.isFinite(value) && Math.abs(value) < LARGEST)),
  }));
  const all = curves.flatMap(({ points }) => points);
  const first = Math.min(...all.map(([step]) => step));
  const last = Math.max(first + 1, ...all.map(([step]) => step));
  const axis = axisFor(
    all.map(([, value]) => value),
    fromZero,
  );
  const x = (step: number) => round(PLOT.left + ((step - first) / (last - first)) * (PLOT.right - PLOT.left));
  const y = (value: number) => round(PLOT.bottom - axis.place(value) * (PLOT.bottom - PLOT.top));
  return html`<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${description}">${valueAxis(axis, y, format)}${
    all.length === 0 ? undefined : stepAxis(first, last, stepName)
  }${curves.map((curve) => drawCurve(curve, x, y))}${readouts(curves, x, y, stepName, format)}</svg>`;
}

type Place = (value: number) => number;
type Point = readonly [number, number];

/** Means of neighbours, so that there are at most COLUMNS points. */
function condense(points: readonly Point[]): readonly Point[] {
  if (points.length <= COLUMNS) return points;
  return Array.from({ length: COLUMNS }, (_, column): Point => {
    const from = Math.floor((column * points.length) / COLUMNS);
    const part = points.slice(from, Math.floor(((column + 1) * points.length) / COLUMNS));
    const value = part.reduce((sum, point) => sum + point[1], 0) / part.length;
    return [part.at(-1)![0], value];
  });
}

function valueAxis(axis: ValueAxis, y: Place, format: (value: number) => string): Html[] {
  return axis.ticks.map((tick) => {
    const height = y(tick);
    return html`<path class="grid" d="M${PLOT.left} ${height}H${PLOT.right}"/><text class="tick" x="${PLOT.left - 6}" y="${height + 4}" text-anchor="end">${format(tick)}</text>`;
  });
}

function stepAxis(first: number, last: number, name: string): Html {
  const below = PLOT.bottom + 16;
  return html`<text class="tick" x="${PLOT.left}" y="${below}">${name} ${first}</text><text class="tick" x="${PLOT.right}" y="${below}" text-anchor="end">${last}</text>`;
}

function drawCurve({ points, style }: Curve, x: Place, y: Place): Html | undefined {
  if (style === 'dots' || points.length === 1) {
    const dots = points.map(([step, value]) => html`<circle cx="${x(step)}" cy="${y(value)}" r="3"/>`);
    return html`<g class="curve ${style}">${dots}</g>`;
  }
  if (points.length === 0) return undefined;
  const path = points.map(([step, value]) => `${x(step)} ${y(value)}`).join('L');
  return html`<path class="curve ${style}" d="M${path}"/>`;
}

/** For each place of the densest curve a strip that shows what all curves have there. */
function readouts(
  curves: readonly Curve[],
  x: Place,
  y: Place,
  stepName: string,
  format: (value: number) => string,
): Html[] {
  const places = curves.reduce<readonly Point[]>(
    (most, { points }) => (points.length > most.length ? points : most),
    [],
  );
  return places.map(([step], i) => {
    const at = x(step);
    const from = i === 0 ? PLOT.left : (x(places[i - 1]![0]) + at) / 2;
    const to = i === places.length - 1 ? PLOT.right : (at + x(places[i + 1]![0])) / 2;
    const found = curves.flatMap(({ name, points }) => {
      const point = nearest(points, step);
      return point === undefined ? [] : [{ name, point }];
    });
    const values = found.map(({ name, point }) => `${name} ${format(point[1])}`).join(' · ');
    const [anchor, textX] = at > WIDTH / 2 ? ['end', PLOT.right] : ['start', PLOT.left];
    return html`<g class="at"><rect x="${round(from)}" y="${PLOT.top}" width="${round(to - from)}" height="${PLOT.bottom - PLOT.top}"/><path d="M${at} ${PLOT.top}V${PLOT.bottom}"/>${found.map(({ point }) => html`<circle cx="${x(point[0])}" cy="${y(point[1])}" r="3"/>`)}<text x="${textX}" y="14" text-anchor="${anchor}">${stepName} ${step}: ${values}</text></g>`;
  });
}

/** The last point at or before a step. */
function nearest(points: readonly Point[], step: number): Point | undefined {
  let [low, high] = [0, points.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (points[middle]![0] <= step) low = middle + 1;
    else high = middle;
  }
  return points[low - 1];
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
