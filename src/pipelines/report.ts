import { html, type Markup } from './html.ts'
import { formatPage, section } from './page.ts'
import { partColours } from './report-style.ts'
import { sensitivitySection } from './sensitivity-plot.ts'
import type { Histogram, LayerResult, RunReport, StageResult } from './result.ts'

/** The report as JSON, indented: everything that the page shows. */
export function formatReportJson(report: RunReport): string {
  return `${JSON.stringify(report, null, 2)}\n`
}

/** The report as one HTML page: no script, no request to anywhere, both colour schemes, printable. */
export function formatReport(report: RunReport): string {
  const title = `${report.model} · ${report.recipe.name}`
  return formatPage(
    title,
    html`<header>
        <p class="eyebrow">Espalier report</p>
        <h1>${report.model}</h1>
        <p>
          ${report.recipe.name}${report.recipe.summary ? `: ${report.recipe.summary}` : '.'} Seed ${report.recipe.seed}.
        </p>
      </header>
      ${tiles(report)} ${section('Proof', checks(report))}
      ${
        report.remarks.length > 0
          ? section(
              'Good to know',
              html`<ul class="remarks">
                ${report.remarks.map((text) => html`<li>${text}</li>`)}
              </ul>`,
            )
          : undefined
      }
      ${section('Step by step', stageTable(report), 'after each step of the recipe')}
      ${report.stages.map(({ method, sensitivity }) => sensitivity && sensitivitySection(sensitivity, method))}
      ${report.budget ? section('Search within the budget', budgetTable(report), `at most ${report.budget.maxAccuracyLoss} points lost on the validation data`) : undefined}
      ${section('Where the bytes are', parts(report), `${bytes(report.files.pack)} in the pack`)}
      ${section('Layers', layerTable(report.layers), workNote(report))}
      <h2>
        Weights before and after
        <small>grey: before; green: after, on its own scale; zeros are counted apart</small>
      </h2>
      <div class="plots">${report.layers.map(plot)}</div>
      ${section('Left alone', skippedTable(report), report.skipped.length === 0 ? undefined : 'layers that a step did not touch, and why')}
      <footer>Sizes are lengths of files that were written. The run took ${report.seconds.toFixed(1)} s.</footer>`,
  )
}

const bytes = (count: number) => `${count.toLocaleString('en-US')} B`
const compact = (count: number) =>
  count >= 999_500
    ? `${(count / 1e6).toPrecision(3)} MB`
    : count >= 1000
      ? `${(count / 1e3).toPrecision(3)} kB`
      : bytes(count)
const count = (value: number) => value.toLocaleString('en-US')
const percent = (share: number, digits = 2) => `${(share * 100).toFixed(digits)} %`
const times = (ratio: number) => `${ratio >= 100 ? ratio.toFixed(0) : ratio.toFixed(1)}×`
const microjoules = (picojoules: number) =>
  picojoules >= 1e9 ? count(Math.round(picojoules / 1e6)) : (picojoules / 1e6).toPrecision(3)
const milliseconds = (value: number) => (value >= 10 ? value.toFixed(1) : value.toFixed(3))

function tiles({ size, files, accuracy, latency }: RunReport): Markup {
  const ratio = (value: number, name: string, note: string, leaf = false) =>
    html`<div class="tile">
      <div class="figure${leaf ? ' leaf' : ''}">${times(value)}</div>
      <div class="name">${name}</div>
      <div class="note">${note}</div>
    </div>`
  return html`<div class="tiles">
      ${ratio(size.ratios.weights, 'weights kept', `${count(size.weightsKept)} of ${count(size.weights)}`)}
      ${ratio(size.ratios.storage, 'storage with indices', `${bytes(size.storageBytes)} of codes, gaps, codebooks: arithmetic; ${size.bitsPerWeight.toFixed(2)} bits a weight, all counted`)}
      ${ratio(size.ratios.bytes, 'bytes of the real file', `${bytes(files.originalParameters)} of parameters → ${bytes(files.pack)}`, true)}
    </div>
    <div class="tiles">
      <div class="tile">
        <div class="duo">
          ${
            accuracy
              ? html`${percent(accuracy.before.accuracy)}<span class="arrow">→</span
                  >${percent(accuracy.after.accuracy)}`
              : 'not measured'
          }
        </div>
        <div class="name">accuracy</div>
        <div class="note">
          ${
            accuracy
              ? `${accuracy.before.count - accuracy.before.correct} → ${accuracy.after.count - accuracy.after.correct} errors of ${count(accuracy.after.count)}, ${accuracy.after.data}`
              : 'there was no data'
          }
        </div>
      </div>
      <div class="tile">
        <div class="duo">
          ${
            latency
              ? html`${milliseconds(latency.before.medianMs)}<span class="arrow">→</span
                  >${milliseconds(latency.after.medianMs)} ms`
              : 'not measured'
          }
        </div>
        <div class="name">latency</div>
        <div class="note">
          ${
            latency
              ? `median; quartiles ${milliseconds(latency.before.lowMs)}–${milliseconds(latency.before.highMs)} → ${milliseconds(latency.after.lowMs)}–${milliseconds(latency.after.highMs)}; ${latency.engine}, batch ${latency.batch}, ${latency.runs} runs each, in turn`
              : ''
          }
        </div>
      </div>
      <div class="tile">
        <div class="duo">${compact(files.originalOnnx)}<span class="arrow">→</span>${compact(files.pack)}</div>
        <div class="name">original file → pack (${percent(files.pack / files.originalOnnx, 1)})</div>
        <div class="note">${bytes(files.originalOnnx)} → ${bytes(files.pack)}; as ONNX ${bytes(files.onnx)}</div>
      </div>
    </div>`
}

function checks({ proof }: RunReport): Markup {
  return html`<ul class="checks">
    ${proof.map(
      ({ check, passed, leftOut, detail }) =>
        html`<li class="${leftOut ? 'left-out' : passed ? 'passed' : 'failed'}">${check} <span>${detail}</span></li>`,
    )}
  </ul>`
}

function stageTable({ stages, accuracy, files, size }: RunReport): Markup {
  const most = Math.max(...stages.map((stage) => stage.size.ratios.bytes), 1)
  const row = (stage: StageResult) =>
    html`<tr>
      <td class="name">
        ${stage.method}
        <div class="sub">${settings(stage.options)}</div>
      </td>
      <td class="n">${times(stage.size.ratios.weights)}</td>
      <td class="n">${times(stage.size.ratios.storage)}</td>
      <td class="n">${times(stage.size.ratios.bytes)}${bar(stage.size.ratios.bytes / most)}</td>
      <td class="n">${bytes(stage.size.packBytes)}</td>
      <td class="n">${stage.accuracy ? percent(stage.accuracy.accuracy) : '–'}</td>
      <td class="n">${stage.seconds.toFixed(1)} s</td>
    </tr>`
  return html`<table>
    <tr>
      <th>step</th>
      <th class="n">weights kept</th>
      <th class="n">storage with indices</th>
      <th class="n">bytes of the real file</th>
      <th class="n">size</th>
      <th class="n">accuracy</th>
      <th class="n">time</th>
    </tr>
    <tr>
      <td class="name">
        original
        <div class="sub">${count(size.weights)} weights</div>
      </td>
      <td class="n">1.0×</td>
      <td class="n">1.0×</td>
      <td class="n">1.0×${bar(1 / most)}</td>
      <td class="n">${bytes(files.originalParameters)}</td>
      <td class="n">${accuracy ? percent(accuracy.before.accuracy) : '–'}</td>
      <td class="n"></td>
    </tr>
    ${stages.map(row)}
  </table>`
}

/** Options in a line, without those that are not set; long ones are cut. */
function settings(options: unknown): string {
  const text = Object.entries(options ?? {})
    .filter(([, value]) => value !== undefined)
    .map(
      ([key, value]) =>
        `${key} ${typeof value === 'object' ? JSON.stringify(value).replaceAll('"', '') : String(value)}`,
    )
    .join(', ')
  return text.length > 160 ? `${text.slice(0, 159)}…` : text
}

function budgetTable({ budget }: RunReport): Markup {
  return html`<table>
    <tr>
      <th class="n">strength</th>
      <th class="n">points lost</th>
      <th class="n">pack</th>
      <th></th>
    </tr>
    ${budget!.tried.map(
      ({ strength, accuracyLoss, packBytes }) =>
        html`<tr>
          <td class="n">${strength.toFixed(3)}</td>
          <td class="n">${accuracyLoss.toFixed(2)}</td>
          <td class="n">${bytes(packBytes)}</td>
          <td>
            ${strength === budget!.strength ? 'chosen' : accuracyLoss > budget!.maxAccuracyLoss ? 'loses too much' : ''}
          </td>
        </tr>`,
    )}
  </table>`
}

function parts({ parts: all, files }: RunReport): Markup {
  const shown = all.slice(0, partColours.length - 1)
  const rest = all.slice(partColours.length - 1).reduce((sum, part) => sum + part.bytes, 0)
  const list = rest > 0 ? [...shown, { label: 'everything else', bytes: rest }] : shown
  return html`<div class="stack">
      ${list.map((part, i) => html`<i style="flex:${part.bytes} 0 0;background:${partColours[i]}"></i>`)}
    </div>
    <ul class="legend">
      ${list.map(
        (part, i) =>
          html`<li>
            <b style="background:${partColours[i]}"></b>${part.label}
            <span>${bytes(part.bytes)}, ${percent(part.bytes / files.pack, 1)}</span>
          </li>`,
      )}
    </ul>`
}

/** What one example takes in all layers together, before and after. */
function workNote({ work }: RunReport): string {
  if (!work) return 'macs and energy are for one example'
  const { macsBefore, macsAfter, energyPjBefore, energyPjAfter } = work
  const change = (before: number, after: number) => (after > 0 ? ` (${times(before / after)})` : '')
  return `for one example: ${count(macsBefore)} → ${count(macsAfter)} macs${change(macsBefore, macsAfter)}; ${microjoules(
    energyPjBefore,
  )} → ${microjoules(energyPjAfter)} µJ${change(
    energyPjBefore,
    energyPjAfter,
  )}, estimated for 45 nm and a machine that skips zero weights`
}

/** Both where they differ. */
function arrow(before: string, after = before): Markup {
  return before === after ? html`${before}` : html`${before}<span class="arrow">→</span>${after}`
}

function bar(share: number): Markup {
  return html`<span class="bar"><i style="width:${(Math.min(1, Math.max(0, share)) * 100).toFixed(1)}%"></i></span>`
}

/** The shapes of what a layer became, where they are others. */
function shapesAfter({ shapeAfter, parts: split }: LayerResult): string | undefined {
  return split ? split.map(({ shape }) => shape.join(' × ')).join(', ') : shapeAfter?.join(' × ')
}

function layerTable(layers: readonly LayerResult[]): Markup {
  const row = (layer: LayerResult) =>
    html`<tr>
      <td class="name">
        ${layer.name}
        <div class="sub">${arrow(layer.op, layer.parts?.map(({ op }) => op).join(', '))}</div>
      </td>
      <td class="n">${arrow(layer.shape.join(' × '), shapesAfter(layer))}</td>
      <td class="n">${count(layer.parameters)}</td>
      <td class="n">${layer.work ? arrow(count(layer.work.macsBefore), count(layer.work.macsAfter)) : '–'}</td>
      <td class="n">
        ${layer.work ? arrow(microjoules(layer.work.energyPjBefore), microjoules(layer.work.energyPjAfter)) : '–'}
      </td>
      <td class="n">${percent(layer.density, 1)}${bar(layer.density)}</td>
      <td class="n">${layer.bitsPerWeight.toFixed(2)}</td>
      <td class="n">${count(layer.bytesBefore)}</td>
      <td class="n">${count(layer.bytesAfter)}</td>
      <td class="n">${layer.outputError === undefined ? '–' : percent(layer.outputError)}</td>
    </tr>`
  return html`<table>
    <tr>
      <th>layer</th>
      <th class="n">shape</th>
      <th class="n">parameters</th>
      <th class="n">macs</th>
      <th class="n">energy, µJ</th>
      <th class="n">density</th>
      <th class="n">bits a weight, packed</th>
      <th class="n">bytes before</th>
      <th class="n">after</th>
      <th class="n">output error</th>
    </tr>
    ${layers.map(row)}
  </table>`
}

function plot(layer: LayerResult): Markup {
  const width = 240
  const height = 84
  const zeros = layer.after ? layer.after.zeros - layer.before.zeros : 0
  const note = layer.parts ? `became ${layer.parts.map(({ name }) => name).join(', ')}` : ''
  return html`<figure>
    <figcaption>${layer.name} <span>${zeros > 0 ? `${count(zeros)} became zero` : note}</span></figcaption>
    <svg
      viewBox="0 0 ${width} ${height + 14}"
      role="img"
      aria-label="Histogram of the weights of ${layer.name} before and after"
    >
      <path class="was" d="${outline(layer.before, width, height)}" />
      ${layer.after && html`<path class="is" d="${outline(layer.after, width, height)}" />`}
      <line class="axis" x1="0" x2="${width}" y1="${height}" y2="${height}" />
      <text x="0" y="${height + 11}">${layer.before.from.toPrecision(2)}</text>
      <text x="${width}" y="${height + 11}" text-anchor="end">${layer.before.to.toPrecision(2)}</text>
    </svg>
  </figure>`
}

/** The bars of a histogram as one path: [bars] -> rectangles, the highest as high as the picture. */
function outline({ counts }: Histogram, width: number, height: number): string {
  const most = Math.max(...counts, 1)
  const step = width / counts.length
  return counts
    .map((value, i) => {
      if (value === 0) return ''
      const top = height - Math.max(1, (value / most) * height)
      return `M${(i * step).toFixed(1)} ${height}V${top.toFixed(1)}h${(step - 0.8).toFixed(1)}V${height}z`
    })
    .join('')
}

function skippedTable({ skipped }: RunReport): Markup {
  if (skipped.length === 0)
    return html`<ul class="checks">
      <li>every step worked on every layer</li>
    </ul>`
  return html`<table>
    <tr>
      <th>layer</th>
      <th>step</th>
      <th>reason</th>
    </tr>
    ${skipped.map(
      ({ layer, method, reason }) =>
        html`<tr>
          <td class="name">${layer}</td>
          <td>${method}</td>
          <td>${reason}</td>
        </tr>`,
    )}
  </table>`
}
