/** The picture of how sensitive layers are: accuracy over the share that a layer alone has lost, a line for each. */
import type { Sensitivity, SensitivityCurve } from '../methods/method.ts'
import { html, type Markup } from './html.ts'
import { formatPage, section } from './page.ts'

const width = 720
const height = 300
const margin = { left: 42, right: 22, top: 10, bottom: 34 }

/** Where hues of neighbouring layers lie between; neighbours differ in their dashes too. */
const anchors = [
  [0x2f, 0x7d, 0x4f],
  [0x3a, 0x6e, 0xa5],
  [0x8a, 0x5a, 0x83],
  [0xb5, 0x50, 0x3c],
  [0xd9, 0x9a, 0x4e],
] as const
const dashes = ['', '6 3', '2 2.5', '9 3 2 3'] as const

/** One line a layer from first to last, a dot where a share was chosen, and under it who is who. */
export function sensitivityPlot(found: Sensitivity): Markup {
  const { curves, accuracy, maxLoss, unit } = found
  const lowest = Math.min(accuracy, ...curves.flatMap(({ points }) => points.map((point) => point.accuracy)))
  const highest = Math.max(accuracy, ...curves.flatMap(({ points }) => points.map((point) => point.accuracy)))
  const [from, to] = [Math.floor(lowest * 10) / 10, Math.min(1, Math.ceil(highest * 10) / 10)]
  const x = (share: number) => margin.left + share * (width - margin.left - margin.right)
  const y = (value: number) =>
    height - margin.bottom - ((value - from) / Math.max(0.1, to - from)) * (height - margin.top - margin.bottom)
  const at = ({ ratio, accuracy: value }: SensitivityCurve['points'][number]) =>
    `${x(ratio).toFixed(1)} ${y(value).toFixed(1)}`
  const floor = maxLoss === undefined ? undefined : accuracy - maxLoss / 100
  const step = to - from > 0.5 ? 0.2 : 0.1
  const levels = Array.from({ length: Math.round((to - from) / step) + 1 }, (_, i) => to - i * step)
  const line = (curve: SensitivityCurve, i: number) => {
    const chosen = curve.points.find(({ ratio }) => ratio === curve.chosen)
    const colour = colourOf(i, curves.length)
    return html`<g>
      <title>${curve.layer}</title>
      <path d="M${curve.points.map(at).join('L')}" stroke="${colour}" stroke-dasharray="${dashes[i % dashes.length]}" />
      ${chosen ? html`<circle cx="${x(chosen.ratio).toFixed(1)}" cy="${y(chosen.accuracy).toFixed(1)}" r="3.4" fill="${colour}" />` : undefined}
    </g>`
  }
  return html`<svg
      class="curves"
      viewBox="0 0 ${width} ${height}"
      role="img"
      aria-label="Accuracy over the share of ${unit} that one layer alone has lost, a line for each of ${curves.length} layers"
    >
      ${levels.map(
        (level) =>
          html`<line
              class="axis"
              x1="${margin.left}"
              x2="${width - margin.right}"
              y1="${y(level).toFixed(1)}"
              y2="${y(level).toFixed(1)}"
            />
            <text x="${margin.left - 6}" y="${(y(level) + 3).toFixed(1)}" text-anchor="end">${percent(level)}</text>`,
      )}
      ${[0, 0.2, 0.4, 0.6, 0.8, 1].map(
        (share) =>
          html`<text x="${x(share)}" y="${height - margin.bottom + 14}" text-anchor="middle">${percent(share)}</text>`,
      )}
      <text x="${x(0.5)}" y="${height - 4}" text-anchor="middle">${unit} of one layer removed</text>
      ${
        floor !== undefined && floor >= from
          ? html`<line
              class="floor"
              x1="${margin.left}"
              x2="${width - margin.right}"
              y1="${y(floor).toFixed(1)}"
              y2="${y(floor).toFixed(1)}"
            />`
          : undefined
      }
      ${curves.map(line)}
    </svg>
    <ul class="legend curves">
      ${curves.map(
        (curve, i) =>
          html`<li>
            <svg viewBox="0 0 26 6">
              <path
                d="M0 3H26"
                stroke="${colourOf(i, curves.length)}"
                stroke-dasharray="${dashes[i % dashes.length]}"
              />
            </svg>
            ${curve.layer} <span>${legendNote(curve, unit)}</span>
          </li>`,
      )}
    </ul>`
}

/** The picture as a page of its own. */
export function formatSensitivityPage(model: string, method: string, found: Sensitivity): string {
  return formatPage(
    `${model} · ${method}`,
    html`<header>
        <p class="eyebrow">Espalier sensitivity</p>
        <h1>${model}</h1>
        <p>${method}</p>
      </header>
      ${section('What each layer can give up', sensitivityPlot(found), sensitivityNote(found))}`,
  )
}

/** What the picture shows, in a line. */
export function sensitivityNote({ unit, count, data, accuracy, maxLoss }: Sensitivity): string {
  const rule =
    maxLoss === undefined
      ? ''
      : `; each gives up the largest share tried that costs no more than ${maxLoss} ${maxLoss === 1 ? 'point' : 'points'} (dashed), where the dots are`
  return `accuracy on ${count.toLocaleString('en-US')} validation examples of ${data} when one layer alone loses ${unit}, before any retraining; ${percent(accuracy, 2)} with all${rule}`
}

function legendNote({ chosen, size }: SensitivityCurve, unit: Sensitivity['unit']): string {
  const all = size.toLocaleString('en-US')
  return chosen === undefined ? `${all} ${unit}` : `${percent(chosen)} of ${all}`
}

function colourOf(position: number, count: number): string {
  const place = count > 1 ? (position / (count - 1)) * (anchors.length - 1) : 0
  const [low, high] = [Math.floor(place), Math.ceil(place)]
  const mixed = anchors[low].map((value, i) => Math.round(value + (place - low) * (anchors[high][i] - value)))
  return `#${mixed.map((value) => value.toString(16).padStart(2, '0')).join('')}`
}

function percent(share: number, digits = 0): string {
  return `${(share * 100).toFixed(digits)} %`
}
