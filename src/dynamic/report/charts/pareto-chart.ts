import { formatBytes } from '../../../base/byte-size.js';
import type { Html } from '../../../base/html.js';
import { percent, significant, tickPercent } from '../figures.js';
import type { Report, ReportFile } from '../report-data.js';
import { placeLabels } from './place-labels.js';
import { AXIS_STYLE, INK, renderChart } from './svg-chart.js';

export const KIND_COLOURS: Readonly<Record<ReportFile['kind'], string>> = {
  measured: 'var(--measured)',
  recipe: 'var(--recipe)',
  static: 'var(--static)',
  custom: 'var(--custom)',
};

const SYMBOLS: Readonly<Record<ReportFile['kind'], string>> = {
  measured: 'circle',
  recipe: 'triangle',
  static: 'rect',
  custom: 'diamond',
};

const WIDTH = 1040;
const HEIGHT = 440;
const MARGIN = { left: 64, right: 24, top: 16, bottom: 46 };

/** The figure a file is judged by: divergence, where every file has one, or else the error of its weights. */
export function lossOf({ files }: Report): { loss: (file: ReportFile) => number; isKld: boolean } {
  const isKld = files.length > 0 && files.every(({ quality }) => quality !== undefined);
  return { isKld, loss: (file) => (isKld ? file.quality!.meanKld : file.error.weighted) };
}

/** The files that no smaller or equally large one beats, ascending in size. */
export function paretoFrontier(report: Report): ReportFile[] {
  const { loss } = lossOf(report);
  const frontier: ReportFile[] = [];
  for (const file of [...report.files].sort((a, b) => a.bytes - b.bytes || loss(a) - loss(b))) {
    if (frontier.length === 0 || loss(file) < loss(frontier.at(-1)!)) frontier.push(file);
  }
  return frontier;
}

/** Size against loss, both of the whole file. Losses of 0, which have no logarithm, are left out. */
export function paretoChart(report: Report): Html {
  const { loss, isKld } = lossOf(report);
  const files = report.files.filter((file) => loss(file) > 0);
  const unit = unitOf(Math.max(1, ...files.map(({ bytes }) => bytes)));
  const x = roundRange(files.map(({ bytes }) => bytes / unit.bytes));
  const y = logTicks(files.map(loss));
  const place = (file: ReportFile): [number, number] => [file.bytes / unit.bytes, Math.log10(loss(file))];
  const plot = {
    left: MARGIN.left,
    right: WIDTH - MARGIN.right,
    top: MARGIN.top,
    bottom: HEIGHT - MARGIN.bottom,
  };
  const places = placeLabels(
    files.map((file) => ({
      text: file.label,
      x: plot.left + ((plot.right - plot.left) * (place(file)[0] - x.min)) / (x.max - x.min),
      y: plot.bottom - ((plot.bottom - plot.top) * (place(file)[1] - y.min)) / (y.max - y.min),
    })),
    plot,
  );
  const option = {
    grid: MARGIN,
    xAxis: {
      ...AXIS_STYLE,
      type: 'value',
      ...x,
      name: `file size, ${unit.name}`,
      nameLocation: 'middle',
      nameGap: 30,
    },
    yAxis: {
      ...AXIS_STYLE,
      type: 'value',
      min: y.min,
      max: y.max,
      axisTick: { show: false, customValues: y.ticks },
      axisLabel: {
        ...AXIS_STYLE.axisLabel,
        customValues: y.ticks,
        formatter: (power: number) => (isKld ? plainNumber : tickPercent)(10 ** power),
      },
    },
    series: [
      {
        type: 'line',
        data: paretoFrontier(report)
          .filter((file) => loss(file) > 0)
          .map(place),
        symbol: 'none',
        silent: true,
        z: 1,
        lineStyle: { color: 'var(--axis)', type: [5, 4], width: 1.5 },
      },
      {
        type: 'scatter',
        data: files.map((file, i) => ({
          value: place(file),
          symbol: SYMBOLS[file.kind],
          itemStyle: { color: KIND_COLOURS[file.kind], opacity: 1 },
          label: {
            show: true,
            formatter: () => file.label,
            color: INK,
            fontSize: 11.5,
            fontFamily: 'inherit',
            position: 'inside',
            offset: [places[i]!.dx, places[i]!.dy],
          },
        })),
        symbolSize: 11,
      },
    ],
  };
  return renderChart(option, {
    width: WIDTH,
    height: HEIGHT,
    description: `${isKld ? 'Divergence' : 'Error'} of ${files.length} files against their sizes; the table below has the figures`,
    hint: (series, index) => (series === 1 ? describeFile(files[index]!) : undefined),
  });
}

function describeFile({ label, bytes, bitsPerWeight, error, quality }: ReportFile): string {
  const size = `${label}: ${formatBytes(bytes)}, ${bitsPerWeight.toFixed(2)} bits per weight`;
  const measured = quality
    ? `, KL divergence ${significant(quality.meanKld)}, perplexity ${quality.perplexity.toFixed(3)}`
    : '';
  return `${size}, error ${percent(error.weighted)}${measured}`;
}

function plainNumber(value: number): string {
  return String(Number(value.toPrecision(6)));
}

function unitOf(bytes: number): { readonly bytes: number; readonly name: string } {
  if (bytes >= 1e9) return { bytes: 1e9, name: 'GB' };
  return bytes >= 1e6 ? { bytes: 1e6, name: 'MB' } : { bytes: 1e3, name: 'kB' };
}

/** A range of round numbers with some air around the values, the upper side more, for the labels. */
function roundRange(values: readonly number[]): { min: number; max: number; interval: number } {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const span = high > low ? high - low : high || 1;
  const power = 10 ** Math.floor(Math.log10(span));
  const interval = ([0.1, 0.2, 0.5, 1].find((step) => span / (step * power) <= 14) ?? 1) * power;
  return {
    min: Math.max(0, Math.floor((low - span * 0.05) / interval) * interval),
    max: Math.ceil((high + span * 0.08) / interval) * interval,
    interval,
  };
}

/** Powers of ten, and 2 and 5 times them, around the values; as logarithms. */
function logTicks(values: readonly number[]): { min: number; max: number; ticks: number[] } {
  const [low, high] = values.length > 0 ? [Math.min(...values), Math.max(...values)] : [0.1, 1];
  const steps: number[] = [];
  for (let power = Math.floor(Math.log10(low)) - 1; power <= Math.ceil(Math.log10(high)); power++) {
    steps.push(...[1, 2, 5].map((factor) => power + Math.log10(factor)));
  }
  const min = steps.findLast((step) => step <= Math.log10(low) - 0.05)!;
  const max = steps.find((step) => step >= Math.log10(high) + 0.05)!;
  const ticks = steps.filter((step) => step >= min && step <= max);
  // Over many decades the powers of ten are enough.
  return { min, max, ticks: ticks.length > 14 ? ticks.filter(Number.isInteger) : ticks };
}

/** Powers of ten around the values. */
export function decades(values: readonly number[]): { min: number; max: number } {
  const positive = values.filter((value) => value > 0);
  if (positive.length === 0) return { min: 0.1, max: 1 };
  const low = Math.floor(Math.log10(Math.min(...positive)) + 1e-9);
  const high = Math.ceil(Math.log10(Math.max(...positive)) - 1e-9);
  return { min: 10 ** low, max: 10 ** Math.max(high, low + 1) };
}
