"""How pages look: light and dark, wide and narrow, on a screen and on paper."""

STYLE = """
:root {
  color-scheme: light dark;
  --ground: #fff; --box: #f4f6fa; --ink: #1b2330; --faint: #55617a; --line: #d5dbe5;
  --mark: #1f5fae; --chance: #8a5200; --bad: #a32a12; --good: #1b6b3a;
  --second: #7a3b9c; --third: #0b6e69;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #12161d; --box: #1d2430; --ink: #e8ecf3; --faint: #a9b6cc; --line: #364153;
    --mark: #7db4ff; --chance: #f0b65a; --bad: #ff9a85; --good: #7fd6a0;
    --second: #d3a6f5; --third: #63d2c6;
  }
}
* { box-sizing: border-box }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.5 ui-sans-serif, system-ui, sans-serif;
  overflow-wrap: anywhere }
main { max-width: 1100px; margin: 0 auto; padding: 24px 24px 64px }
h1 { font-size: 28px; line-height: 1.2; margin: 16px 0 4px }
h2 { font-size: 20px; line-height: 1.3; margin: 0 0 4px }
h3 { font-size: 15px; margin: 0 0 8px }
p { margin: 0 0 12px; max-width: 76ch }
a { color: var(--mark) }
.lead, .about, .note, caption, figcaption { color: var(--faint) }
.verdict { background: var(--box); border-left: 4px solid var(--mark); padding: 16px 20px; margin: 16px 0 24px }
.verdict ul { margin: 0; padding-left: 20px; max-width: 80ch }
.verdict li:has(.sign) { list-style: none; margin: 0 0 6px -20px; padding-left: 92px; text-indent: -92px }
.sign { display: inline-block; width: 88px; text-indent: 0; font-size: 14px; font-weight: 600; white-space: nowrap }
main > section[id] { border-top: 1px solid var(--line); padding-top: 24px; margin-top: 32px }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: 4px 20px; margin: 24px 0 0; padding: 0;
  font-size: 14px }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 20px 24px; margin: 0 }
.figures dt { font-size: 14px; color: var(--faint) }
.figures dd { margin: 0 }
.figures .value { font-size: 26px; line-height: 1.25; font-weight: 600; font-variant-numeric: tabular-nums }
.figures .note { font-size: 13px }

table { border-collapse: collapse; width: 100%; margin: 16px 0; font-size: 14px }
caption { text-align: left; padding-bottom: 6px; font-size: 14px }
th, td { text-align: left; vertical-align: top; padding: 5px 16px 5px 0; border-bottom: 1px solid var(--line);
  font-weight: 400 }
th:last-child, td:last-child { padding-right: 0 }
thead th { color: var(--faint); font-size: 13px; vertical-align: bottom }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums }
.scroll { overflow-x: auto; overflow-wrap: break-word;
  background: linear-gradient(to left, var(--ground) 24px, transparent 48px) right / 48px 100% no-repeat local,
    linear-gradient(to left, var(--line), transparent) right / 16px 100% no-repeat scroll } /* more lies to the right */
.scroll th, .scroll td { max-width: 40ch }
.scroll thead .number { white-space: normal; min-width: 9ch }
.scroll table { width: auto; min-width: 50% }
.facts th { width: 34% }
.facts .number { width: 1%; padding-right: 24px }
.good { color: var(--good); white-space: nowrap }
.bad { color: var(--bad); font-weight: 600; white-space: nowrap }
.warn { color: var(--chance) }
.beside { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); gap: 0 32px; align-items: start }

.chart { margin: 20px 0 28px }
.chart figcaption { font-size: 14px; margin-bottom: 4px }
.chart table { margin: 0 }
.chart tbody th { width: 26%; vertical-align: middle }
.chart td { vertical-align: middle }
.plot { width: 36%; padding: 0 24px 0 8px }
.plot svg { display: block; width: 100%; height: 28px; overflow: visible }
.curve { padding: 12px 24px 28px 56px }
.axis { color: var(--faint); font-size: 12px; margin: 8px 0 0; max-width: none }
.axis.across { text-align: right; padding-right: 24px; margin: -4px 0 4px }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 4px 24px; margin: 0; padding: 0; font-size: 13px;
  color: var(--faint) }
.legend svg { width: 30px; height: 12px; margin-right: 8px; vertical-align: -1px }
.curve svg { display: block; width: 100%; height: 240px; overflow: visible }
.square { max-width: 460px }
.square .curve svg { height: auto; aspect-ratio: 1 }
.histograms svg { height: 64px }
.histograms .plot { width: 46% }
.histograms .bar { opacity: .6 }
.histograms thead svg { height: 28px }
svg text { fill: var(--faint); font-size: 12px }
svg line { stroke: var(--line) }
svg .whisker { stroke: var(--mark); stroke-width: 3; opacity: .55 }
svg .thick { stroke: var(--mark); stroke-width: 7; opacity: .45 }
svg .thin { stroke: var(--mark); stroke-width: 1.5 }
svg .dot { fill: var(--ground); stroke: var(--mark); stroke-width: 2 }
svg .clear { fill: var(--mark) }
svg .bar { fill: var(--mark) }
svg .case { fill: var(--mark); opacity: .5; transform: translateX(-10px) }
.line-2 { --mark: var(--second) }
.line-3 { --mark: var(--third) }
.line-2 .clear { fill: var(--ground) }
.line-2 .thin { stroke-dasharray: 7 4 }
.line-3 .thin { stroke-dasharray: 2 3 }
svg .guide { stroke: var(--chance); stroke-width: 2; stroke-dasharray: 4 3 }
svg .guide-2 { stroke: var(--good); stroke-dasharray: 12 4 }
svg .chance { stroke: var(--chance); stroke-width: 2; stroke-dasharray: 4 3 }
.key { font-size: 13px; color: var(--faint) }

.example { border: 1px solid var(--line); border-radius: 6px; padding: 12px 16px; margin: 12px 0 }
.example .note { font-size: 13px; margin: 0 0 8px }
.quote { margin: 0 0 8px }
.quote figcaption { font-size: 13px }
blockquote { margin: 2px 0 0; padding: 6px 10px; background: var(--box); white-space: pre-wrap; font-size: 14px;
  unicode-bidi: plaintext; overflow: hidden }

@media (max-width: 700px) {
  main { padding: 12px 16px 48px }
  .chart tr, .facts tr { display: flex; flex-wrap: wrap; gap: 0 16px; border-bottom: 1px solid var(--line);
    padding: 6px 0 }
  .chart th, .chart td, .facts th, .facts td { border: 0; padding: 0; width: auto }
  .chart tbody th, .chart tr .plot, .facts .note { width: 100% }
  .chart tr .plot { padding: 0 16px 0 8px }
  .chart thead th:not(.plot), .chart td:empty, .facts td:empty { display: none }
  .chart .number[data-name]::before { content: attr(data-name) " "; color: var(--faint) }
  .facts th { flex: 1 }
  .scroll th, .scroll td { max-width: 20ch }
  .beside { grid-template-columns: minmax(0, 1fr) }
  .verdict li:has(.sign) { padding-left: 0; text-indent: 0 }
  .sign { display: block }
  .facts .number { width: auto; padding: 0 }
}
@media print {
  main { max-width: none; padding: 0 }
  nav { display: none }
  tr, .example, .figures div { break-inside: avoid }
  h2, h3, caption, figcaption { break-after: avoid }
}
"""
