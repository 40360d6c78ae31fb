/** The style sheet of the live page and of the report. No fonts, images or imports: it works without a network. */
export const TRAINING_STYLE = `
:root {
  color-scheme: light dark;
  --page: light-dark(#f6f7f9, #0f141b); --card: light-dark(#ffffff, #171d26); --ink: light-dark(#1a2130, #e6eaf0);
  --muted: light-dark(#5b6475, #9aa5b5); --line: light-dark(#e0e4ea, #2a3340); --grid: light-dark(#eceff3, #232b36);
  --curve: light-dark(#1f6feb, #6ea8fe); --other: light-dark(#d9730d, #f0a04b);
  --good: light-dark(#2f8f5b, #56c08a); --bad: light-dark(#d1363c, #ff6b70);
}
@media print { :root { color-scheme: light; --page: #ffffff; } }
* { box-sizing: border-box; }
body {
  margin: 0; padding: 32px 20px 56px; background: var(--page); color: var(--ink);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", "Hiragino Sans", "Noto Sans JP", "Yu Gothic UI", sans-serif;
}
main { max-width: 1128px; margin: 0 auto; }
h1 { font-size: 26px; line-height: 1.2; margin: 0 0 6px; overflow-wrap: anywhere; letter-spacing: -0.01em; }
h2 { font-size: 18px; line-height: 1.3; margin: 0 0 4px; }
h3 { font-size: 13px; margin: 18px 0 4px; color: var(--muted); font-weight: 600; }
p { margin: 0 0 12px; overflow-wrap: anywhere; }
a { color: var(--curve); }
nav { float: right; font-size: 13px; margin-left: 16px; }
.muted { color: var(--muted); }
.state::before { content: ""; display: inline-block; width: 9px; height: 9px; border-radius: 50%; margin-right: 8px; background: var(--other); }
.state.running::before { background: var(--curve); }
.state.finished::before, .state.early-stop::before { background: var(--good); }
.state.failed::before, .state.not-finite::before { background: var(--bad); }
progress { appearance: none; display: block; width: 100%; height: 6px; border: 0; border-radius: 3px; overflow: hidden; background: var(--line); }
progress::-webkit-progress-bar { background: var(--line); }
progress::-webkit-progress-value { background: var(--curve); }
progress::-moz-progress-bar { background: var(--curve); }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 12px; margin: 16px 0 0; }
.facts div, section { background: var(--card); border: 1px solid var(--line); border-radius: 12px; }
.facts div { padding: 10px 14px; min-width: 0; }
.facts dt, .facts .note { color: var(--muted); font-size: 12.5px; }
.facts dd { margin: 0; font-size: 19px; font-weight: 600; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.facts dd.note { font-weight: 400; }
section { padding: 20px 22px; margin-top: 20px; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); gap: 24px 28px; }
figure { margin: 0; min-width: 0; }
figcaption { font-size: 13.5px; font-weight: 600; }
svg { display: block; width: 100%; height: auto; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 16px; margin: 2px 0 0; padding: 0; list-style: none; font-size: 12.5px; color: var(--muted); }
.legend li { display: inline-flex; align-items: center; gap: 6px; }
svg.key { width: 22px; height: 12px; flex: none; }
.tick { fill: var(--muted); font-size: 11px; font-variant-numeric: tabular-nums; }
.grid { stroke: var(--grid); fill: none; }
.curve { fill: none; stroke: var(--curve); stroke-width: 2; stroke-linejoin: round; }
.curve.faint { stroke-width: 1; opacity: 0.45; }
.curve.dashed { stroke: var(--other); stroke-dasharray: 5 4; stroke-width: 1.5; }
.curve.dots { fill: var(--other); stroke: var(--card); stroke-width: 1; }
g.curve.line, g.curve.faint { fill: var(--curve); stroke: none; opacity: 1; }
g.curve.dashed { fill: var(--other); stroke: none; }
.at rect { fill: transparent; }
.at > :not(rect) { visibility: hidden; pointer-events: none; }
.at:hover > :not(rect) { visibility: visible; }
.at path { stroke: var(--muted); stroke-width: 1; }
.at circle { fill: var(--ink); }
.at text { fill: var(--ink); font-size: 11.5px; font-variant-numeric: tabular-nums; }
.notes { margin: 8px 0 0; padding-left: 20px; overflow-wrap: anywhere; }
.tables { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 300px), 1fr)); gap: 16px 32px; margin-top: 10px; align-items: start; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; font-variant-numeric: tabular-nums; }
th { text-align: left; color: var(--muted); font-weight: 500; }
th, td { padding: 5px 12px 5px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td { overflow-wrap: anywhere; text-align: right; padding-right: 0; }
tr:last-child > * { border-bottom: 0; }
code { font: 12.5px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
#lost { color: var(--bad); }
[hidden] { display: none; }
@media (max-width: 480px) { body { padding: 20px 12px 40px; } section { padding: 16px 14px; } .facts { grid-template-columns: repeat(2, 1fr); gap: 8px; } }
`;
