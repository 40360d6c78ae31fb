import type { Html } from '../../../base/html.js';
import { percent, tickPercent } from '../figures.js';
import { decades } from './pareto-chart.js';
import { AXIS_STYLE, renderChart } from './svg-chart.js';

export interface Line {
  readonly name: string;
  readonly colour: string;
  readonly dashed: boolean;
  /** A share for each layer; undefined where there is none. */
  readonly values: readonly (number | undefined)[];
}

const COLOURS = 10;

/** A chart of more layers needs the whole width of the page. */
export const WIDE_LAYERS = 16;

/** Colour and dash of the line with this number; both repeat after twenty. */
export function lineStyle(index: number): Pick<Line, 'colour' | 'dashed'> {
  return { colour: `var(--line-${index % COLOURS})`, dashed: Math.floor(index / COLOURS) % 2 === 1 };
}

/** Errors by layer, one line for each name. */
export function layerLines(lines: readonly Line[], layers: readonly number[], description: string): Html {
  const values = lines.flatMap((line) => line.values).filter((value) => value !== undefined);
  const option = {
    grid: { left: 56, right: 14, top: 12, bottom: 42 },
    xAxis: {
      ...AXIS_STYLE,
      type: 'category',
      boundaryGap: layers.length === 1,
      data: layers.map(String),
      name: 'layer',
      nameLocation: 'middle',
      nameGap: 28,
    },
    yAxis: {
      ...AXIS_STYLE,
      ...logOrLinear(values),
      axisLabel: { ...AXIS_STYLE.axisLabel, formatter: tickPercent },
    },
    series: lines.map(({ colour, dashed, values: data }) => ({
      type: 'line',
      data: data.map((value) => (value !== undefined && value > 0 ? value : null)),
      // Dense and expert layers may alternate.
      connectNulls: true,
      symbol: 'circle',
      symbolSize: layers.length > 24 ? 4 : 6,
      itemStyle: { color: colour },
      lineStyle: { color: colour, width: 2, type: dashed ? [6, 4] : 'solid' },
    })),
  };
  return renderChart(option, {
    width: layers.length > WIDE_LAYERS ? 1040 : 510,
    height: 320,
    description,
    hint: (series, index) => {
      const value = lines[series]?.values[index];
      return value === undefined
        ? undefined
        : `${lines[series]!.name}, layer ${layers[index]}: ${percent(value)}`;
    },
  });
}

/** Logarithmic where the values differ by more than a factor of 8, which a linear axis would hide. */
function logOrLinear(values: readonly number[]): object {
  const positive = values.filter((value) => value > 0);
  const [low, high] = [Math.min(...positive), Math.max(...positive)];
  return high / low > 8 ? { type: 'log', ...decades(positive) } : { type: 'value', scale: true };
}
