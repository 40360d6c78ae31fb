import type { Html } from '../../../base/html.js';
import type { CoverageReport } from '../../coverage.js';
import { decades } from './pareto-chart.js';
import { AXIS_STYLE, MUTED, renderChart } from './svg-chart.js';

const WIDTH = 1040;
const PLOT_WIDTH = 884;

/** Steps of this share of the width put neighbouring experts far from each other. */
const GOLDEN_SHARE = (Math.sqrt(5) - 1) / 2;

/** Every expert as a dot: how many tokens of the calibration text reached it. */
export function coverageChart({ layers, minTokens }: CoverageReport): Html {
  const dots = layers.flatMap(({ expertTokens }, place) =>
    expertTokens.map((tokens, expert) => ({ place, expert, tokens })),
  );
  const most = Math.max(1, ...layers.map(({ experts }) => experts));
  const spread = Math.min(60, (0.7 * PLOT_WIDTH) / Math.max(1, layers.length));
  const unseen = dots.some(({ tokens }) => tokens === 0);
  const range = decades([...dots.map(({ tokens }) => tokens), minTokens]);
  // A logarithmic axis has no zero: experts that saw nothing lie on its lowest line, which is called 0.
  const min = unseen ? Math.min(0.1, range.min) : range.min;
  const option = {
    grid: { left: 64, right: WIDTH - PLOT_WIDTH - 64, top: 12, bottom: 42 },
    xAxis: {
      ...AXIS_STYLE,
      type: 'category',
      data: layers.map(({ layer }) => String(layer)),
      name: 'layer',
      nameLocation: 'middle',
      nameGap: 28,
    },
    yAxis: {
      ...AXIS_STYLE,
      type: 'log',
      ...range,
      min,
      axisLabel: {
        ...AXIS_STYLE.axisLabel,
        formatter: (value: number) => (unseen && value <= min ? '0' : value.toLocaleString('en')),
      },
    },
    series: [
      {
        type: 'scatter',
        symbolSize: most > 32 ? 5 : 8,
        data: dots.map(({ place, expert, tokens }) => ({
          value: [place, Math.max(tokens, min)],
          symbolOffset: [spread * ((expert * GOLDEN_SHARE) % 1) - spread / 2, 0],
          itemStyle: { color: tokens < minTokens ? 'var(--bad)' : 'var(--good)', opacity: 0.75 },
        })),
        markLine: {
          silent: true,
          symbol: 'none',
          data: [{ yAxis: minTokens }],
          lineStyle: { color: MUTED, type: [5, 4] },
          label: {
            formatter: () => `${minTokens} tokens`,
            color: MUTED,
            fontSize: 11,
            fontFamily: 'inherit',
          },
        },
      },
    ],
  };
  return renderChart(option, {
    width: WIDTH,
    height: 300,
    description: `Tokens that each expert of ${layers.length} layers saw; fewer than ${minTokens} are too few`,
    hint: (_, index) => {
      const dot = dots[index];
      return dot && `layer ${layers[dot.place]!.layer}, expert ${dot.expert}: ${dot.tokens} tokens`;
    },
  });
}
