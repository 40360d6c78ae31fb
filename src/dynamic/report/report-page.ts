import { basename } from 'node:path';
import { formatBytes } from '../../base/byte-size.js';
import { type Html, html, trusted } from '../../base/html.js';
import type { CoverageReport } from '../coverage.js';
import { coverageChart } from './charts/coverage-chart.js';
import { type Line, layerLines, lineStyle, WIDE_LAYERS } from './charts/layer-lines.js';
import { KIND_COLOURS, lossOf, paretoChart, paretoFrontier } from './charts/pareto-chart.js';
import { percent, significant } from './figures.js';
import { bitsSection, projectionsOf } from './file-sections.js';
import { PAGE_STYLE } from './page-style.js';
import type { Report, ReportFile } from './report-data.js';
import type { RoundingError } from './rounding-errors.js';
import { FLOOR_REASONS, KIND_NAMES } from './wording.js';

/**
 * The report as one HTML page that needs nothing else: no scripts, no network, light or dark as the reader's system
 * is. Names from files are escaped, and the page forbids scripts and loading besides.
 */
export function reportPage(report: Report): string {
  const { model, files } = report;
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="color-scheme" content="light dark">
<title>${model.name}: quantization report</title>
<style>${trusted(PAGE_STYLE)}</style>
</head>
<body>
<main>
<header>
<h1>${model.name}</h1>
<div class="muted">${files.length === 1 ? 'A quantized file' : `${files.length} quantized files`} compared with <code>${model.file}</code></div>
${modelFacts(report)}
</header>
${sizeSection(report)}
${bitsSection(report)}
${floorSection(report)}
${report.coverage && coverageSection(report, report.coverage)}
${nf4Section(report)}
${methodSection(report)}
</main>
</body>
</html>
`;
  return page.text;
}

function modelFacts({ model }: Report): Html {
  const facts: [string, string][] = [
    ['weights', countText(model.weights)],
    ['layers', String(model.layers)],
    ['experts', model.experts > 0 ? String(model.experts) : 'none'],
    ['original size', formatBytes(model.bytes)],
    ['bits per weight', model.bitsPerWeight.toFixed(2)],
  ];
  return html`<dl class="facts">${facts.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

function countText(weights: number): string {
  if (weights >= 1e9) return `${(weights / 1e9).toFixed(1)} billion`;
  return weights >= 1e6 ? `${(weights / 1e6).toFixed(1)} million` : String(weights);
}

function sizeSection(report: Report): Html {
  const { isKld } = lossOf(report);
  const frontier = new Set(paretoFrontier(report));
  const kinds = (['measured', 'recipe', 'static', 'custom'] as const).filter((kind) =>
    report.files.some((file) => file.kind === kind),
  );
  const loss = isKld
    ? 'KL divergence from the original, in nats (logarithmic)'
    : 'relative error of the weights (logarithmic)';
  const withQuality = report.files.some(({ quality }) => quality !== undefined);
  const chart = html`<p class="muted">Upwards: ${loss}. Lower and further left is better; no file beats one on the dashed line in both.</p>
<ul class="legend">${kinds.map((kind) => html`<li>${symbol(kind)}${KIND_NAMES[kind]}</li>`)}<li><svg viewBox="0 0 22 12"><path d="M0 6H22" stroke="var(--axis)" stroke-width="1.5" stroke-dasharray="5 4"/></svg>best at its size</li></ul>
<div class="chart wide">${paretoChart(report)}</div>
`;
  return html`<section id="size">
<h2>Size against ${isKld ? 'divergence' : 'error'}</h2>
${report.files.length > 1 ? chart : undefined}<div class="scroll"><table>
<thead><tr><th>File</th><th>Types</th><th class="n">Size</th><th class="n">Bits/weight</th><th class="n">Error</th>${withQuality ? html`<th class="n">Mean KLD</th><th class="n">99% KLD</th><th class="n">Same top</th><th class="n">Perplexity</th>` : undefined}<th>Best at its size</th></tr></thead>
<tbody>${report.files.map((file) => fileRow(file, frontier.has(file), withQuality))}</tbody></table></div>
</section>`;
}

function symbol(kind: ReportFile['kind']): Html {
  const colour = KIND_COLOURS[kind];
  const shapes = {
    static: html`<rect x="6" y="1" width="10" height="10" fill="${colour}"/>`,
    recipe: html`<path d="M11 1L16.5 11H5.5Z" fill="${colour}"/>`,
    measured: html`<circle cx="11" cy="6" r="5" fill="${colour}"/>`,
    custom: html`<path d="M11 0L17 6L11 12L5 6Z" fill="${colour}"/>`,
  };
  return html`<svg viewBox="0 0 22 12">${shapes[kind]}</svg>`;
}

function fileRow(file: ReportFile, best: boolean, withQuality: boolean): Html {
  const { quality } = file;
  const measured =
    quality === undefined
      ? html`<td class="n">–</td><td class="n">–</td><td class="n">–</td><td class="n">–</td>`
      : html`<td class="n">${significant(quality.meanKld)} <span class="muted">± ${significant(quality.meanKldError)}</span></td><td class="n">${significant(quality.kld99)}</td><td class="n">${quality.sameTopPercent.toFixed(1)}%</td><td class="n">${quality.perplexity.toFixed(3)}</td>`;
  const { recipe } = file;
  const detail =
    recipe === undefined || recipe === file.label ? undefined : html` <span class="muted">${recipe}</span>`;
  return html`<tr><td class="label">${file.label}</td><td><span class="tag ${file.kind}">${KIND_NAMES[file.kind]}</span>${detail}</td><td class="n">${formatBytes(file.bytes)}</td><td class="n">${file.bitsPerWeight.toFixed(2)}</td><td class="n">${percent(file.error.weighted)}</td>${withQuality ? measured : undefined}<td>${best ? 'yes' : ''}</td></tr>
`;
}

function floorSection(report: Report): Html {
  const { files, tensors, importance } = report;
  const rows = tensors.flatMap((tensor, i) => {
    const { floor } = tensor;
    if (floor === undefined) return [];
    const cells = files.map(({ tensors: found }) => {
      const { type, position } = found[i]!;
      return html`<td class="nowrap ${position}">${type}</td>`;
    });
    return html`<tr><td><code>${tensor.name}</code></td><td class="why">${FLOOR_REASONS[floor.floor]}</td><td class="nowrap">${floor.smallest}</td>${cells}</tr>
`;
  });
  const unknown =
    importance === undefined
      ? 'Without an importance matrix (--imatrix) only output and embeddings are known to have one.'
      : '';
  return html`<section id="floors">
<h2>Tensors at a floor</h2>
<p class="muted">Tensors that no budget may push below the type in the third column, and why; <span class="at">green</span> where a file is at the floor, <span class="below">red</span> where it is below. ${unknown}</p>
<div class="scroll"><table>
<thead><tr><th>Tensor</th><th>Why</th><th>Floor</th>${files.map(({ label }) => html`<th>${label}</th>`)}</tr></thead>
<tbody>${rows}</tbody></table></div>
</section>`;
}

function coverageSection({ importance }: Report, coverage: CoverageReport): Html {
  const { minTokens, layers, poorShare, suggestions } = coverage;
  const atRisk = layers.flatMap(({ tensorsAtRisk }) => tensorsAtRisk);
  const summary =
    poorShare === 0
      ? `Every expert saw at least ${minTokens} tokens of the calibration text.`
      : `${percent(poorShare)} of the experts saw fewer than ${minTokens} tokens of the calibration text; their importance data is a guess.`;
  const notes = [...suggestions, ...(atRisk.length > 0 ? [`at risk at low bits: ${atRisk.join(', ')}`] : [])];
  return html`<section id="coverage">
<h2>Expert coverage</h2>
<p class="muted">${summary} Each dot is an expert.${importance && ` Calibrated on ${importance.chunks} windows of ${importance.chunkSize} tokens (${importance.datasets.map((name) => basename(name)).join(', ') || importance.file}).`}</p>
<div class="chart wide">${coverageChart(coverage)}</div>
${notes.length > 0 ? html`<ul class="notes">${notes.map((note) => html`<li>${note}</li>`)}</ul>` : undefined}
</section>`;
}

/** Files in the comparison by layer; more lines than that cannot be told apart. */
const MAX_LINES = 9;

function nf4Section(report: Report): Html {
  const { tensors, nf4, files, fourBit = [] } = report;
  const layers = [...new Set(tensors.flatMap(({ layer }) => layer ?? []))].sort((a, b) => a - b);
  const byProjection = projectionsOf(tensors).map((name, i): Line => {
    const at = (layer: number) =>
      tensors.find((tensor) => tensor.layer === layer && tensor.projection === name)?.nf4.weighted;
    return { name, ...lineStyle(i), values: layers.map(at) };
  });
  const byLayer = (name: string, index: number, errors: readonly RoundingError[]): Line => ({
    name,
    ...lineStyle(index),
    values: layers.map((layer) => layerError(report, layer, errors)),
  });
  const compared = files.filter(({ bitsPerWeight }) => bitsPerWeight < 7).slice(-MAX_LINES);
  const lines = [
    {
      ...byLayer(
        'NF4',
        7,
        tensors.map((tensor) => tensor.nf4),
      ),
      dashed: true,
    },
    ...compared.map((file, i) =>
      byLayer(
        file.label,
        i < 7 ? i : i + 1,
        file.tensors.map(({ error }) => error),
      ),
    ),
  ];
  const checkpoints = fourBit.map(
    (checkpoint, i): Line => ({
      name: checkpoint.label,
      ...lineStyle(i),
      dashed: true,
      values: checkpoint.layers.map(({ error }) => error.weighted),
    }),
  );
  const kept = fourBit.map(
    (checkpoint) =>
      html`<li>${checkpoint.label}, ${formatBytes(checkpoint.bytes)}: error ${percent(checkpoint.error.weighted)}${checkpoint.kept.length > 0 ? `; in 16 bits: ${checkpoint.kept.join(', ')}` : ''}</li>`,
  );
  const wide = layers.length > WIDE_LAYERS;
  return html`<section id="nf4">
<h2>Four bits as bitsandbytes rounds them</h2>
<p class="muted">Relative error of NF4 in blocks of 64 (${nf4.bitsPerWeight} bits per weight) by layer: the layers and projections that stand out are those that a 4-bit checkpoint should leave alone. Over all matrices NF4 has an error of ${percent(nf4.error.weighted)}.</p>
<div class="${wide ? 'stack' : 'pair'}">
<div><h3>NF4, by projection</h3>${lineLegend(byProjection)}<div class="chart ${wide ? 'wide' : ''}">${layerLines(byProjection, layers, 'Relative error of NF4 by layer, one line for each projection')}</div></div>
<div><h3>All projections together: NF4 and the files</h3>${lineLegend([...lines, ...checkpoints])}<div class="chart ${wide ? 'wide' : ''}">${layerLines([...lines, ...checkpoints], layers, 'Relative error by layer of NF4 and of the quantized files')}</div></div>
</div>
${kept.length > 0 ? html`<ul class="notes">${kept}</ul>` : undefined}
</section>`;
}

/** Mean over the weights of a layer. */
function layerError(
  { tensors }: Report,
  layer: number,
  errors: readonly RoundingError[],
): number | undefined {
  let error = 0;
  let weights = 0;
  for (const [i, tensor] of tensors.entries()) {
    if (tensor.layer !== layer) continue;
    error += tensor.weights * errors[i]!.weighted;
    weights += tensor.weights;
  }
  return weights > 0 ? error / weights : undefined;
}

function lineLegend(lines: readonly Line[]): Html {
  const items = lines.map(
    ({ name, colour, dashed }) =>
      html`<li><svg viewBox="0 0 22 12"><path d="M0 6H22" stroke="${colour}" stroke-width="2.5"${dashed ? html` stroke-dasharray="6 4"` : undefined}/></svg>${name}</li>`,
  );
  return html`<ul class="legend">${items}</ul>`;
}

function methodSection({ sampled, importance, files, evaluationText }: Report): Html {
  const quality = files.find((file) => file.quality !== undefined)?.quality;
  const weights = importance
    ? 'w is the sum of the squared inputs that each column met in calibration, so the error is that of the products the matrix computes; the unweighted error has w = 1.'
    : 'w = 1, for there is no importance matrix (--imatrix).';
  const rows = sampled
    ? 'Large matrices are measured on rows spread evenly over them, the same rows in every file.'
    : 'All rows are measured.';
  const evaluated = quality
    ? html`<p>Divergence and perplexity: ${quality.tokens} tokens in ${quality.chunks} windows of ${quality.contextSize}${evaluationText === undefined ? '' : ` of ${evaluationText}`}; the original has a perplexity of ${quality.referencePerplexity.toFixed(3)}.</p>`
    : html`<p>Divergence and perplexity were not measured (-f TEXT).</p>`;
  return html`<section id="method">
<h2>How this was measured</h2>
<p>Relative error of a matrix: Σ w·(x̂ − x)² / Σ w·x², of its weights x and what they became, x̂. ${weights} ${rows} The error of a file is the mean over its weights. Norms and routers stay as they are and do not count.</p>
${evaluated}
<p class="muted">Files are told apart by their types: those that follow one of llama.cpp's mixes are static, and those of a published dynamic recipe are named after it. A measured allocation says in its metadata how it was made.</p>
</section>`;
}
