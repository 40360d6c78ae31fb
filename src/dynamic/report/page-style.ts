const LIGHT = `
  color-scheme: light;
  --page: #f6f7f9; --card: #ffffff; --ink: #1a2130; --muted: #5b6475; --line: #e0e4ea;
  --grid: #eceff3; --axis: #b4bcc8; --accent: #1f6feb; --chip: #eef1f5;
  --static: #7b8494; --recipe: #d9730d; --measured: #1f6feb; --custom: #7a52d1; --good: #2f8f5b; --bad: #d1363c;
  --bits-0: #eef4fc; --bits-1: #d9e8fa; --bits-2: #bdd7f5; --bits-3: #9cc3ee; --bits-4: #78abe4;
  --bits-5: #3a78c4; --bits-6: #2d68b0; --bits-7: #1f5296; --bits-8: #133a75;
  --bits-ink-low: #1a2130; --bits-ink-high: #ffffff;
  --error-0: #fdf3e7; --error-1: #fbe3c8; --error-2: #f8cfa3; --error-3: #f4b67a; --error-4: #ee9a52;
  --error-5: #bf5f1b; --error-6: #a54d15; --error-7: #863a10; --error-8: #62250b;
  --error-ink-low: #2b1c10; --error-ink-high: #ffffff;
  --line-0: #1f6feb; --line-1: #d9730d; --line-2: #2f8f5b; --line-3: #c2347c; --line-4: #7a52d1;
  --line-5: #0f8b9c; --line-6: #9a7208; --line-7: #d1363c; --line-8: #5b6475; --line-9: #6aa312;`;

const DARK = `
  color-scheme: dark;
  --page: #0f141b; --card: #171d26; --ink: #e6eaf0; --muted: #9aa5b5; --line: #2a3340;
  --grid: #232b36; --axis: #4b5768; --accent: #6ea8fe; --chip: #222b37;
  --static: #8d99aa; --recipe: #f0a04b; --measured: #6ea8fe; --custom: #b197fc; --good: #56c08a; --bad: #ff6b70;
  --bits-0: #182536; --bits-1: #1b3150; --bits-2: #1f3f6a; --bits-3: #265086; --bits-4: #2f64a5;
  --bits-5: #5e96d6; --bits-6: #86b3e6; --bits-7: #aecff2; --bits-8: #d8e8fa;
  --bits-ink-low: #e6eaf0; --bits-ink-high: #0f1a28;
  --error-0: #2a2018; --error-1: #3d2a1a; --error-2: #55361c; --error-3: #70431d; --error-4: #8f531f;
  --error-5: #dc8a44; --error-6: #eca667; --error-7: #f5c494; --error-8: #fce2c6;
  --error-ink-low: #f3e6d8; --error-ink-high: #2a1608;
  --line-0: #6ea8fe; --line-1: #f0a04b; --line-2: #56c08a; --line-3: #f07ab4; --line-4: #b197fc;
  --line-5: #4cc9da; --line-6: #d8b544; --line-7: #ff6b70; --line-8: #9aa5b5; --line-9: #a5d65a;`;

/** The style sheet of the page. No fonts, images or imports: the page has to work without a network. */
export const PAGE_STYLE = `
:root {${LIGHT}
}
@media (prefers-color-scheme: dark) { :root {${DARK}
} }
@media print { :root {${LIGHT}
  --page: #ffffff;
} }
* { box-sizing: border-box; }
body {
  margin: 0; padding: 40px 20px 64px; background: var(--page); color: var(--ink);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
main { max-width: 1128px; margin: 0 auto; }
header { margin-bottom: 24px; }
h1 { font-size: 28px; line-height: 1.2; margin: 0 0 6px; overflow-wrap: anywhere; letter-spacing: -0.01em; }
h2 { font-size: 19px; line-height: 1.3; margin: 0 0 4px; }
h3 { font-size: 14px; margin: 0 0 8px; color: var(--muted); font-weight: 600; }
p { margin: 0 0 14px; max-width: 78ch; }
.muted { color: var(--muted); }
.facts { display: flex; flex-wrap: wrap; gap: 12px; margin: 20px 0 0; padding: 0; }
.facts div { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 10px 16px; min-width: 130px; }
.facts dt { color: var(--muted); font-size: 12.5px; }
.facts dd { margin: 0; font-size: 19px; font-weight: 600; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 22px 24px; margin-top: 20px; }
svg { display: block; width: 100%; height: auto; font-family: inherit; }
svg text { font-family: inherit !important; }
.chart { overflow-x: auto; }
.chart.wide svg { min-width: 720px; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr)); gap: 20px 28px; }
.stack { display: grid; gap: 20px; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 0 0 10px; padding: 0; list-style: none; font-size: 13px; color: var(--muted); }
.legend li { display: inline-flex; align-items: center; gap: 6px; }
.legend svg { display: inline-block; width: 22px; height: 12px; flex: none; }
.scale { display: flex; flex-wrap: wrap; align-items: center; gap: 2px; font-size: 12px; color: var(--muted); margin: 0 0 12px; }
.scale i { display: inline-block; min-width: 38px; text-align: center; padding: 1px 4px; font-style: normal; border-radius: 3px; }
.scale b { font-weight: 500; margin-right: 8px; }
.scroll { overflow: auto; max-height: 560px; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; font-variant-numeric: tabular-nums; }
th { text-align: left; color: var(--muted); font-weight: 600; font-size: 12.5px; white-space: nowrap; position: sticky; top: 0; background: var(--card); }
th, td { padding: 6px 12px 6px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
tbody tr:last-child td { border-bottom: 0; }
td { overflow-wrap: anywhere; }
td.n, th.n { text-align: right; white-space: nowrap; overflow-wrap: normal; }
td.nowrap { white-space: nowrap; }
td > code { white-space: nowrap; }
td.why { min-width: 250px; }
td.label { min-width: 120px; }
code { font: 12.5px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.tag { display: inline-block; padding: 0 8px; border-radius: 99px; background: var(--chip); font-size: 12px; white-space: nowrap; }
.tag.static { color: var(--static); } .tag.recipe { color: var(--recipe); } .tag.measured { color: var(--measured); } .tag.custom { color: var(--custom); }
.at { font-weight: 600; color: var(--good); } .below { font-weight: 600; color: var(--bad); }
.chips { display: flex; flex-wrap: wrap; gap: 6px 10px; font-size: 12.5px; margin: 12px 0 0; color: var(--muted); }
.chips span { background: var(--chip); border-radius: 6px; padding: 1px 8px; color: var(--ink); }
details.file { border-top: 1px solid var(--line); padding: 12px 0; }
details.file:last-of-type { padding-bottom: 0; }
summary { cursor: pointer; }
details.file > summary { font-weight: 600; overflow-wrap: anywhere; }
details.file > summary .muted { font-weight: 400; margin-left: 8px; }
details > summary + * { margin-top: 14px; }
details details { margin-top: 12px; font-size: 13.5px; }
ul.notes { margin: 10px 0 0; padding-left: 20px; }
`;
