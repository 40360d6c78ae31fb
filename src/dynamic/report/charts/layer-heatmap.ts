import type { Html } from '../../../base/html.js';
import { AXIS_STYLE, renderChart } from './svg-chart.js';

/** One matrix of a layer. */
export interface Cell {
  readonly layer: number;
  readonly row: string;
  /** Step of the scale, 0 to HEAT_STEPS − 1. */
  readonly step: number;
  /** Shown in the cell, where there is room. */
  readonly text: string;
  readonly hint: string;
}

export const HEAT_STEPS = 9;

const WIDTH = 510;
const LEFT = 100;
const ROW = 22;
const CHARACTER = 5.6;

/** Layers from left to right, projections from top to bottom. `ramp` names the CSS variables of the colours. */
export function layerHeatmap(
  cells: readonly Cell[],
  rows: readonly string[],
  layers: readonly number[],
  ramp: 'bits' | 'error',
): Html {
  const height = rows.length * ROW + 42;
  const room = (WIDTH - LEFT - 8) / Math.max(1, layers.length);
  const longest = Math.max(0, ...cells.map(({ text }) => text.length));
  const withText = longest * CHARACTER + 4 <= room;
  const option = {
    grid: { left: LEFT, right: 8, top: 4, bottom: 38 },
    xAxis: {
      ...AXIS_STYLE,
      type: 'category',
      data: layers.map(String),
      name: 'layer',
      nameLocation: 'middle',
      nameGap: 24,
      axisLine: { show: false },
    },
    yAxis: {
      ...AXIS_STYLE,
      type: 'category',
      inverse: true,
      data: rows.map(shorten),
      axisLine: { show: false },
      axisLabel: { ...AXIS_STYLE.axisLabel, interval: 0 },
    },
    series: [
      {
        type: 'custom',
        data: cells.map(({ layer, row }) => [layers.indexOf(layer), rows.indexOf(row)]),
        renderItem: (params: { dataIndex: number }, api: CustomApi) => {
          const cell = cells[params.dataIndex]!;
          const [x, y] = api.coord([api.value(0), api.value(1)]);
          const [width] = api.size([1, 1]);
          // Where a model has many layers its cells are too narrow for round corners and wide gaps.
          const gap = width! > 16 ? 2 : 1;
          const shape = {
            x: x! - width! / 2 + gap / 2,
            y: y! - ROW / 2 + gap / 2,
            width: width! - gap,
            height: ROW - gap,
            r: width! > 16 ? 3 : 0,
          };
          const ink = cell.step >= 5 ? `var(--${ramp}-ink-high)` : `var(--${ramp}-ink-low)`;
          const rect = { type: 'rect', shape, style: { fill: `var(--${ramp}-${cell.step})` } };
          if (!withText) return rect;
          const style = { text: cell.text, x, y, align: 'center', verticalAlign: 'middle' };
          const text = {
            type: 'text',
            silent: true,
            style: { ...style, fill: ink, fontSize: 10, fontFamily: 'inherit' },
          };
          return { type: 'group', children: [rect, text] };
        },
      },
    ],
  };
  return renderChart(option, {
    width: WIDTH,
    height,
    description: `${ramp === 'bits' ? 'Bits' : 'Error'} of ${rows.length} kinds of matrices in ${layers.length} layers`,
    hint: (_, index) => cells[index]?.hint,
  });
}

interface CustomApi {
  value(dimension: number): number;
  coord(point: readonly number[]): number[];
  size(extent: readonly number[]): number[];
}

function shorten(name: string): string {
  return name.length > 16 ? `${name.slice(0, 15)}…` : name;
}
