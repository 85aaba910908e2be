/** The style sheet of the report: system fonts, both colour schemes, and a form for paper. */
export const reportStyle = `
:root { color-scheme: light dark; --paper: #fbfaf7; --card: #fff; --ink: #1d2521; --soft: #66716b; --line: #e2e3dc;
  --leaf: #2f7d4f; --leaf-soft: #cfe5d6; --bark: #9a6b3c; --sky: #3a6ea5; --bad: #b3261e; --track: #eceee8; }
@media (prefers-color-scheme: dark) { :root { --paper: #141815; --card: #1c221e; --ink: #e6ebe7; --soft: #98a49d;
  --line: #2e3731; --leaf: #6fc48f; --leaf-soft: #294a36; --bark: #d6a473; --sky: #7fb0e2; --bad: #ff8a80; --track: #29312c; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif;
  -webkit-print-color-adjust: exact; print-color-adjust: exact; }
main { max-width: 1080px; margin: 0 auto; padding: 40px 24px 72px; }
header p { margin: 4px 0 0; color: var(--soft); max-width: 70ch; }
h1 { font-size: 30px; line-height: 1.2; margin: 0; letter-spacing: -0.01em; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 44px 0 12px; letter-spacing: -0.005em; }
h2 small { font-weight: 400; color: var(--soft); font-size: 14px; margin-left: 8px; }
.eyebrow { color: var(--leaf); font-size: 13px; font-weight: 600; letter-spacing: 0.06em; text-transform: uppercase; margin: 0 0 6px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(230px, 1fr)); gap: 14px; margin-top: 24px; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 18px 20px; }
.tile .figure { font-size: 38px; line-height: 1.1; font-weight: 650; letter-spacing: -0.02em; font-variant-numeric: tabular-nums; }
.tile .figure.leaf { color: var(--leaf); }
.tile .name { font-weight: 600; margin-top: 4px; }
.tile .note { color: var(--soft); font-size: 13px; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.arrow { color: var(--soft); font-weight: 400; font-size: 24px; padding: 0 4px; }
.duo { font-size: 26px; font-weight: 650; font-variant-numeric: tabular-nums; letter-spacing: -0.01em; line-height: 1.35; white-space: nowrap; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 6px 18px; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 13.5px; }
th { text-align: left; font-weight: 600; color: var(--soft); font-size: 12px; padding: 9px 12px 7px 0; white-space: nowrap; }
td { padding: 7px 12px 7px 0; border-top: 1px solid var(--line); vertical-align: middle; }
th.n, td.n { text-align: right; white-space: nowrap; }
td.name { font-weight: 600; overflow-wrap: anywhere; min-width: 100px; }
td .arrow { font-size: inherit; padding: 0 3px 0 0; }
td.n .arrow::before { content: '\\A'; white-space: pre; }
td .sub { font-weight: 400; color: var(--soft); font-size: 12px; }
td .sub .arrow { padding: 0 3px; }
td .bar { width: 48px; }
.bar { display: inline-block; width: 70px; height: 7px; border-radius: 4px; background: var(--track); overflow: hidden; vertical-align: 1px; margin-left: 8px; }
.bar i { display: block; height: 100%; background: var(--leaf); border-radius: 4px; }
.stack { display: flex; height: 34px; border-radius: 8px; overflow: hidden; margin: 14px 0 10px; gap: 2px; }
.stack i { display: block; min-width: 2px; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 20px; margin: 0 0 12px; padding: 0; list-style: none; font-size: 13px; }
.legend b { display: inline-block; width: 10px; height: 10px; border-radius: 3px; margin-right: 7px; }
.legend span { color: var(--soft); }
.checks, .remarks { list-style: none; margin: 0; padding: 4px 0; }
.checks li, .remarks li { padding: 8px 0 8px 30px; position: relative; border-top: 1px solid var(--line); }
.checks li:first-child, .remarks li:first-child { border-top: 0; }
.checks li::before { content: "✓"; position: absolute; left: 4px; color: var(--leaf); font-weight: 700; }
.checks li.left-out::before { content: "–"; color: var(--soft); }
.checks li.failed::before { content: "✗"; color: var(--bad); }
.remarks li::before { content: "›"; position: absolute; left: 8px; color: var(--bark); font-weight: 700; }
.checks span { color: var(--soft); font-size: 13px; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(245px, 1fr)); gap: 14px; }
figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 12px 14px 8px; break-inside: avoid; }
figcaption { font-size: 13px; font-weight: 600; overflow-wrap: anywhere; }
figcaption span { color: var(--soft); font-weight: 400; }
svg { display: block; width: 100%; height: auto; margin-top: 6px; }
svg .was { fill: var(--soft); opacity: 0.28; } svg .is { fill: var(--leaf); } svg .axis { stroke: var(--line); }
svg text { fill: var(--soft); font-size: 9px; font-family: inherit; }
.curves path { fill: none; stroke-width: 1.7; stroke-linejoin: round; } svg.curves text { font-size: 9.5px; } svg.curves { padding: 8px 0; }
svg .floor { stroke: var(--ink); stroke-width: 0.8; stroke-dasharray: 4 4; opacity: 0.7; }
ul.legend.curves { display: grid; grid-template-columns: repeat(auto-fill, minmax(235px, 1fr)); overflow-wrap: anywhere; }
ul.legend.curves svg { display: inline-block; width: 26px; margin: 0 6px 0 0; vertical-align: 2px; }
@media (prefers-color-scheme: dark) { .curves path, .curves circle { filter: brightness(1.45); } }
footer { margin-top: 48px; color: var(--soft); font-size: 13px; }
@media print { body { background: #fff; font-size: 11px; } main { padding: 0; max-width: none; } h2 { break-after: avoid; }
  tr, .tile, li { break-inside: avoid; } .card, .tile, figure { border-color: #ccc; } }
`

/** Colours of the parts of a file, in order of size; they differ in lightness too, for print and for the colour-blind. */
export const partColours = [
  '#2f7d4f',
  '#d99a4e',
  '#3a6ea5',
  '#8fc7a3',
  '#8a5a83',
  '#c9c3b4',
  '#b5503c',
  '#5f6f66',
] as const
