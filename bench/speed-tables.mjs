// The figures of speed.mjs as Markdown.

const METRICS = [
  { key: 'prompt', title: 'Prompt, tokens per second', of: (run) => run.prompt },
  { key: 'generation', title: 'Generation, tokens per second', of: (run) => run.generation },
  { key: 'loadSeconds', title: 'Load time, seconds', of: (run) => run.loadSeconds },
  { key: 'peakRss', title: 'Peak resident memory, GB', of: (run) => run.peakRss / 1e9 },
];

/** All tables under a line about the machine and one about the settings. */
export function speedTables({ machine, settings, engines, results }) {
  const { cpu, processors, memoryGiB, bandwidth } = machine;
  const reads = Object.entries(bandwidth).map(
    ([threads, bytes]) => `${(bytes / 1e9).toFixed(1)} GB/s on ${threads}`,
  );
  const versions = engines.map((engine) => {
    const run = results.flatMap(({ runs }) => (Array.isArray(runs[engine]) ? runs[engine] : []))[0];
    return run === undefined ? engine : `${engine}: ${run.version}`;
  });
  const lines = [
    `${cpu}, ${processors} processors, ${memoryGiB} GiB; WebAssembly reads ${reads.join(', ')} threads.`,
    `${settings.threads} threads, prompt of ${settings.prompt} tokens, ${settings.new} new tokens; ` +
      `medians of ${settings.rounds} alternating rounds, ratios Cria / other with minimum and maximum; ` +
      `llama.cpp's flash attention: ${settings.flashAttention}; SIMD build: ${settings.simd}; repack: ${settings.repack}.`,
    `${versions.join(', ')}.`,
  ];
  for (const metric of METRICS) lines.push(`### ${metric.title}`, table(metric, engines, results));
  const errors = results.flatMap(({ file, runs }) =>
    engines.flatMap((engine) => (runs[engine].error ? [`- ${engine}, ${file}: ${runs[engine].error}`] : [])),
  );
  if (errors.length > 0) lines.push(errors.join('\n'));
  return lines.join('\n\n');
}

function spread(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
  return { min: sorted[0], median: middle, max: sorted.at(-1) };
}

function table({ of }, engines, results) {
  const others = engines.includes('cria') ? engines.filter((engine) => engine !== 'cria') : [];
  const head = ['file', 'GB', ...engines, ...others.map((engine) => `/ ${engine}`)];
  const rows = results.map(({ file, bytes, runs }) => [
    file,
    (bytes / 1e9).toFixed(2),
    ...engines.map((engine) =>
      Array.isArray(runs[engine]) ? digits(spread(runs[engine].map(of)).median) : '–',
    ),
    ...others.map((engine) => ratio(runs.cria, runs[engine], of)),
  ]);
  const line = (cells) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map((_, i) => (i === 0 ? '---' : '--:'))), ...rows.map(line)].join('\n');
}

/** Round by round, since the machine's other work is the same then. */
function ratio(ours, theirs, of) {
  if (!Array.isArray(ours) || !Array.isArray(theirs)) return '';
  const { min, median, max } = spread(ours.map((run, i) => of(run) / of(theirs[i])));
  return `**${median.toFixed(2)}** (${min.toFixed(2)}–${max.toFixed(2)})`;
}

function digits(x) {
  return x >= 100 ? x.toFixed(0) : x.toPrecision(3);
}
