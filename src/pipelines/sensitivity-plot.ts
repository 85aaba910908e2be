/** The picture of how sensitive layers are: accuracy over the share that a layer alone has lost, or over its bits. */
import type { Sensitivity, SensitivityCurve } from '../methods/method.ts'
import { html, type Markup } from './html.ts'
import { formatPage, section } from './page.ts'
import { scaleOf, type SensitivityScale } from './sensitivity-scale.ts'

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

/** A headline, the picture and what it shows; behind the headline what it is about, where that is not clear. */
export function sensitivitySection(found: Sensitivity, about?: string): Markup {
  const { title } = scaleOf(found)
  return section(about === undefined ? title : `${title}: ${about}`, sensitivityPlot(found), sensitivityNote(found))
}

/** One line a layer from first to last, a dot where one of its values was chosen, and under it who is who. */
export function sensitivityPlot(found: Sensitivity): Markup {
  const { curves, accuracy, maxLoss } = found
  const scale = scaleOf(found)
  const lowest = Math.min(accuracy, ...curves.flatMap(({ points }) => points.map((point) => point.accuracy)))
  const highest = Math.max(accuracy, ...curves.flatMap(({ points }) => points.map((point) => point.accuracy)))
  const [from, to] = [Math.floor(lowest * 10) / 10, Math.min(1, Math.ceil(highest * 10) / 10)]
  const [first, last] = scale.ends
  const x = (value: number) => margin.left + ((value - first) / (last - first)) * (width - margin.left - margin.right)
  const y = (value: number) =>
    height - margin.bottom - ((value - from) / Math.max(0.1, to - from)) * (height - margin.top - margin.bottom)
  const place = (point: SensitivityCurve['points'][number]) =>
    `${x(point.at).toFixed(1)} ${y(point.accuracy).toFixed(1)}`
  const floor = maxLoss === undefined ? undefined : accuracy - maxLoss / 100
  const step = to - from > 0.5 ? 0.2 : 0.1
  const levels = Array.from({ length: Math.round((to - from) / step) + 1 }, (_, i) => to - i * step)
  const line = (curve: SensitivityCurve, i: number) => {
    const { points } = curve
    // A line from a point to itself would not be seen.
    const marked = points.find(({ at }) => at === curve.chosen) ?? (points.length === 1 ? points[0] : undefined)
    const colour = colourOf(i, curves.length)
    return html`<g>
      <title>${curve.layer}</title>
      <path d="M${points.map(place).join('L')}" stroke="${colour}" stroke-dasharray="${dashes[i % dashes.length]}" />
      ${marked ? html`<circle cx="${x(marked.at).toFixed(1)}" cy="${y(marked.accuracy).toFixed(1)}" r="3.4" fill="${colour}" />` : undefined}
    </g>`
  }
  return html`<svg
      class="curves"
      viewBox="0 0 ${width} ${height}"
      role="img"
      aria-label="Accuracy over ${scale.axis}, a line for each of ${curves.length} layers"
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
      ${scale.ticks.map(
        (value) =>
          html`<text x="${x(value).toFixed(1)}" y="${height - margin.bottom + 14}" text-anchor="middle">
            ${scale.tick(value)}
          </text>`,
      )}
      <text x="${x((first + last) / 2).toFixed(1)}" y="${height - 4}" text-anchor="middle">${scale.axis}</text>
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
            ${curve.layer} <span>${legendNote(curve, found.parts, scale)}</span>
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
      ${sensitivitySection(found)}`,
  )
}

/** What the picture shows, in a line. */
export function sensitivityNote(found: Sensitivity): string {
  const { count, data, accuracy, maxLoss, curves } = found
  const { alone, whole, rule } = scaleOf(found)
  const dots = curves.some(({ chosen }) => chosen !== undefined) ? ', where the dots are' : ''
  const dashed = maxLoss === undefined ? '' : ' (dashed)'
  return `accuracy on ${count.toLocaleString('en-US')} validation examples of ${data} when one layer alone ${alone}, before any retraining; ${percent(accuracy, 2)} ${whole}${rule === undefined ? '' : `; ${rule}${dashed}${dots}`}`
}

function legendNote({ chosen, size }: SensitivityCurve, parts: string, { choice }: SensitivityScale): string {
  const all = size.toLocaleString('en-US')
  return chosen === undefined ? `${all} ${parts}` : choice(chosen, all)
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
