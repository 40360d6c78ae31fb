import { CustomChart, LineChart, ScatterChart } from 'echarts/charts';
import { GridComponent, MarkLineComponent } from 'echarts/components';
import { type EChartsCoreOption, init, use } from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';
import { escapeText, type Html, trusted, visible } from '../../../base/html.js';

use([CustomChart, LineChart, ScatterChart, GridComponent, MarkLineComponent, SVGRenderer]);

export interface ChartOptions {
  /** Units of the drawing; the page scales it. */
  readonly width: number;
  readonly height: number;
  /** What somebody who cannot see the chart should know. */
  readonly description: string;
  /** Text that shows when the pointer rests on a mark. */
  readonly hint?: (series: number, index: number) => string | undefined;
}

/** Colours are CSS variables of the page, so one drawing serves light and dark. */
export const INK = 'var(--ink)';
export const MUTED = 'var(--muted)';
export const GRID = 'var(--grid)';
export const AXIS = 'var(--axis)';

export const AXIS_STYLE = {
  axisLine: { show: true, lineStyle: { color: AXIS } },
  axisTick: { show: false },
  axisLabel: { color: MUTED, fontSize: 11, fontFamily: 'inherit' },
  nameTextStyle: { color: MUTED, fontSize: 11, fontFamily: 'inherit' },
  splitLine: { lineStyle: { color: GRID } },
  minorSplitLine: { lineStyle: { color: GRID } },
} as const;

/** Draws a chart as an SVG element without a browser. Texts in it are escaped by the renderer. */
export function renderChart(option: EChartsCoreOption, chart: ChartOptions): Html {
  const { width, height, description, hint } = chart;
  const instance = init(null, null, { renderer: 'svg', ssr: true, width, height });
  try {
    instance.setOption({ animation: false, ...option });
    return trusted(withHints(instance.renderToSVGString(), description, hint));
  } finally {
    instance.dispose();
  }
}

const MARK =
  /<(path|rect|circle)( [^>]*ecmeta_series_index="(\d+)"[^>]*ecmeta_data_index="(\d+)"[^>]*)><\/\1>/g;

/**
 * Leaves out what only scripts and hovering would need, and clipping, whose ids are numbered through the life of the
 * program (nothing lies outside of the axes); gives marks their hints.
 */
function withHints(svg: string, description: string, hint: ChartOptions['hint']): string {
  return visible(svg)
    .replace(MARK, (whole, tag: string, attributes: string, series: string, index: string) => {
      const text = hint?.(Number(series), Number(index));
      return text === undefined ? whole : `<${tag}${attributes}><title>${escapeText(text)}</title></${tag}>`;
    })
    .replace(/<(style|defs) ?>.*?<\/\1>/gs, '')
    .replace(
      / (class="zr[^"]*"|ecmeta_\w+="[^"]*"|pointer-events="[^"]*"|clip-path="[^"]*"|xmlns(:xlink)?="[^"]*")/g,
      '',
    )
    .replace('<svg ', `<svg role="img" aria-label="${escapeText(description)}" `);
}
