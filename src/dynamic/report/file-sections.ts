import { formatBytes } from '../../base/byte-size.js';
import { type Html, html } from '../../base/html.js';
import { type Cell, layerHeatmap } from './charts/layer-heatmap.js';
import { percent, shortBits, significant } from './figures.js';
import { BITS_SCALE, ERROR_SCALE, type HeatScale, heatStep } from './heat-scales.js';
import type { Report, ReportFile, ReportTensor } from './report-data.js';
import { FLOOR_REASONS } from './wording.js';

/** Projections that a map shows; a Llama 4 has 13. */
const MAX_ROWS = 24;

/** Bits and errors of every file, by layer and projection, and the tables behind them. */
export function bitsSection(report: Report): Html {
  const { files } = report;
  const open = files.find(({ kind }) => kind === 'measured') ?? files.find(({ kind }) => kind === 'recipe');
  return html`<section id="bits">
<h2>Where the bits went</h2>
<p class="muted">Bits per weight and relative error of every projection in every layer. The scales are the same for all files.</p>
${scaleLegend('Bits', BITS_SCALE)}${scaleLegend('Error', ERROR_SCALE)}
${files.map((file) => fileDetails(report, file, files.length <= 3 || file === open))}
</section>`;
}

function fileDetails(report: Report, file: ReportFile, open: boolean): Html {
  const { tensors } = report;
  const layers = [...new Set(tensors.flatMap(({ layer }) => layer ?? []))].sort((a, b) => a - b);
  const rows = projectionsOf(tensors);
  const map = (scale: HeatScale) =>
    layerHeatmap(cellsOf(report, file, rows, scale), rows, layers, scale.ramp);
  const others = tensors.flatMap((tensor, i) =>
    tensor.layer === undefined ? [{ tensor, found: file.tensors[i]! }] : [],
  );
  const kld = file.quality ? ` · KL divergence ${significant(file.quality.meanKld)}` : '';
  const facts = `${formatBytes(file.bytes)} · ${file.bitsPerWeight.toFixed(2)} bits per weight · error ${percent(file.error.weighted)}${kld}`;
  return html`<details class="file"${open ? html` open` : undefined}><summary>${file.label}<span class="muted">${facts}</span></summary>
<div class="pair">
<div><h3>Bits per weight</h3><div class="chart">${map(BITS_SCALE)}</div></div>
<div><h3>Relative error</h3><div class="chart">${map(ERROR_SCALE)}</div></div>
</div>
<div class="chips">Outside of the layers: ${others.map(({ tensor, found }) => html`<span>${tensor.projection} ${found.type}, error ${percent(found.error.weighted)}</span>`)}</div>
${tensorTable(report, file)}</details>
`;
}

/** Projections in layers, in the order of the model. */
export function projectionsOf(tensors: readonly ReportTensor[]): string[] {
  const inLayers = tensors.filter(({ layer }) => layer !== undefined);
  const known = ORDER.filter((name) => inLayers.some(({ projection }) => projection === name));
  const rest = new Set(inLayers.map(({ projection }) => projection).filter((name) => !known.includes(name)));
  return [...known, ...rest].slice(0, MAX_ROWS);
}

const ORDER = [
  'attn_q',
  'attn_k',
  'attn_v',
  'attn_output',
  'ffn_gate',
  'ffn_up',
  'ffn_down',
  'ffn_gate_exps',
  'ffn_up_exps',
  'ffn_down_exps',
  'ffn_gate_shexp',
  'ffn_up_shexp',
  'ffn_down_shexp',
];

function cellsOf({ tensors }: Report, file: ReportFile, rows: readonly string[], scale: HeatScale): Cell[] {
  return tensors.flatMap(({ name, layer, projection }, i) => {
    if (layer === undefined || !rows.includes(projection)) return [];
    const { type, bits, error } = file.tensors[i]!;
    const isBits = scale.ramp === 'bits';
    return {
      layer,
      row: projection,
      step: heatStep(scale, isBits ? bits : error.weighted),
      text: isBits ? type : percent(error.weighted),
      hint: `${name}: ${type}, ${shortBits(bits)} bits, error ${percent(error.weighted)}`,
    };
  });
}

function scaleLegend(name: string, { ramp, names }: HeatScale): Html {
  const step = (text: string, i: number) =>
    html`<i style="background:var(--${ramp}-${i});color:var(--${ramp}-ink-${i >= 5 ? 'high' : 'low'})">${text}</i>`;
  return html`<div class="scale"><b>${name}</b>${names.map(step)}</div>`;
}

function tensorTable({ tensors }: Report, file: ReportFile): Html {
  const rows = tensors.map((tensor, i) => {
    const { type, bits, bytes, error, position } = file.tensors[i]!;
    const { floor } = tensor;
    const reason =
      floor === undefined ? '' : `${position} the floor, ${floor.smallest}: ${FLOOR_REASONS[floor.floor]}`;
    return html`<tr><td><code>${tensor.name}</code></td><td class="nowrap">${tensor.shape.join(' × ')}</td><td class="nowrap">${type}</td><td class="n">${shortBits(bits)}</td><td class="n">${formatBytes(bytes)}</td><td class="n">${percent(error.weighted)}</td><td class="n">${percent(error.plain)}</td><td>${reason}</td></tr>
`;
  });
  return html`<details><summary>All ${tensors.length} matrices</summary><div class="scroll"><table>
<thead><tr><th>Tensor</th><th>Shape</th><th>Type</th><th class="n">Bits</th><th class="n">Size</th><th class="n">Error</th><th class="n">Unweighted</th><th>Floor</th></tr></thead>
<tbody>${rows}</tbody></table></div></details>`;
}
