/** The figure of docs/decompositions.md: a small plot for each layer, and one of the network's accuracy. */
import { html, type Markup } from '../../pipelines/html.ts'
import type { DecompositionResults } from './results.ts'
import type { Variant } from './variants.ts'

const columns = 5
const cell = { width: 196, height: 158 }
const plot = { left: 34, right: 10, top: 24, bottom: 22 }
const legendHeight = 66

/**
 * Colours that are told apart on light and on dark ground; the two orientations of a method have one, and other dashes.
 */
const strokes = [
  { colour: '#3a6ea5', dash: '' },
  { colour: '#3a6ea5', dash: '5 3' },
  { colour: '#c0562f', dash: '' },
  { colour: '#2f8d57', dash: '' },
  { colour: '#8a8a8a', dash: '2 2' },
] as const

const style = `
  svg { background: #fff; font: 11px system-ui, sans-serif; fill: #333 }
  .axis { stroke: #ddd } .full { stroke: #555; stroke-dasharray: 1 3 }
  .title { font-weight: 600 } .note { fill: #666 } .line { fill: none; stroke-width: 1.8 } .hollow { fill: #fff; stroke-width: 1.4 }
  @media (prefers-color-scheme: dark) {
    svg { background: #16181a; fill: #ddd } .axis { stroke: #33373a } .full { stroke: #aaa } .note { fill: #999 } .hollow { fill: #16181a }
  }`

/** A point of a line: bits a weight, and what was measured. */
type Point = readonly [bits: number, value: number]

interface Scales {
  readonly x: (bits: number) => number
  readonly y: (value: number) => number
  readonly rows: readonly { readonly at: number; readonly text: string }[]
}

/**
 * Errors of outputs over bits a weight, both on scales of powers, with the same scales in all plots; the last plot is
 * the accuracy of the network over the mean bits of all convolutions.
 */
export function decompositionFigure(results: DecompositionResults, variants: readonly Variant[]): string {
  const errors = results.entries.flatMap(({ layers }) => layers.map(({ error }) => error)).filter((error) => error > 0)
  const from = Math.floor(Math.log10(Math.min(0.1, ...errors)))
  const to = Math.log10(leastAbove(Math.max(1, ...errors)))
  const across = cell.width - plot.left - plot.right
  const down = cell.height - plot.top - plot.bottom
  const x = (bits: number) => plot.left + ((Math.log2(bits) + 0.4) / (Math.log2(10) + 0.4)) * across
  const along = (share: number) => plot.top + (1 - share) * down
  const decades = Array.from({ length: Math.floor(to - from) + 1 }, (_, i) => 10 ** (from + i))
  const ofErrors: Scales = {
    x,
    y: (error) => along((Math.log10(Math.max(error, 10 ** from)) - from) / (to - from)),
    rows: decades.map((at) => ({
      at,
      text: at >= 1 ? String(at) : at.toFixed(Math.max(0, -Math.round(Math.log10(at)))),
    })),
  }
  const ofAccuracy: Scales = {
    x,
    y: along,
    rows: [0, 0.25, 0.5, 0.75, 1].map((at) => ({ at, text: `${100 * at} %` })),
  }
  const plots = [
    ...results.layers.map(({ shape }, i) =>
      panel(`${i + 1}: ${shape.join(' × ')}`, ofErrors, variants, (name) => layerPoints(results, name, i)),
    ),
    panel('accuracy', ofAccuracy, variants, (name) => accuracyPoints(results, name), results.accuracy),
  ]
  const rows = Math.ceil(plots.length / columns)
  const [width, height] = [columns * cell.width, rows * cell.height + legendHeight]
  return `${
    html`<svg
      xmlns="http://www.w3.org/2000/svg"
      viewBox="0 0 ${width} ${height}"
      width="${width}"
      height="${height}"
      role="img"
      aria-label="Relative error of the output of each of ${results.layers.length} convolutions, and accuracy, over bits a weight"
    >
      <style>
        ${style}
      </style>
      ${plots.map(
        (one, i) =>
          html`<g transform="translate(${(i % columns) * cell.width} ${Math.floor(i / columns) * cell.height})"
            >${one}</g
          > `,
      )}${legend(variants, rows * cell.height + 18)}
    </svg>`.text
  }\n`
}

/** The least of 1, 2 and 5 times a power of ten that is no less. */
function leastAbove(value: number): number {
  const decade = 10 ** Math.floor(Math.log10(value))
  return decade * [1, 2, 5, 10].find((step) => step * decade >= value)!
}

function layerPoints({ entries }: DecompositionResults, variant: string, layer: number): Point[] {
  return entries.flatMap(({ variant: name, layers }): Point[] => {
    const { bits, error } = layers[layer]
    return name === variant && bits !== undefined ? [[bits, error]] : []
  })
}

function accuracyPoints(results: DecompositionResults, variant: string): Point[] {
  return results.entries.flatMap((entry): Point[] =>
    entry.variant === variant ? [[meanBits(results, entry.layers), entry.accuracy]] : [],
  )
}

/** Bits a weight over all convolutions; one that was left as it is counts 32. */
export function meanBits(
  { layers }: Pick<DecompositionResults, 'layers'>,
  found: readonly { readonly bits?: number | undefined }[],
): number {
  const counts = layers.map(({ shape }) => shape.reduce((product, size) => product * size, 1))
  const bits = found.reduce((sum, { bits: own = 32 }, i) => sum + own * counts[i], 0)
  return bits / counts.reduce((sum, count) => sum + count, 0)
}

function panel(
  title: string,
  { x, y, rows }: Scales,
  variants: readonly Variant[],
  pointsOf: (variant: string) => readonly Point[],
  full?: number,
): Markup {
  const right = cell.width - plot.right
  const lines = variants.map(({ name, label }, i) => {
    const { colour, dash } = strokes[i % strokes.length]
    const points = pointsOf(name).map(([bits, value]) => [x(bits).toFixed(1), y(value).toFixed(1)] as const)
    if (points.length === 0) return undefined
    return html`<g
      ><title>${label}</title
      ><path
        class="line"
        d="M${points.map((point) => point.join(' ')).join('L')}"
        stroke="${colour}"
        stroke-dasharray="${dash}"
      />${points.map(([px, py]) => mark(px, py, { colour, dash }))}</g
    >`
  })
  return html`<text class="title" x="${plot.left}" y="15">${title}</text>
    ${rows.map(({ at, text }) => html`<line class="axis" x1="${plot.left}" x2="${right}" y1="${y(at).toFixed(1)}" y2="${y(at).toFixed(1)}" /><text class="note" x="${plot.left - 4}" y="${(y(at) + 3.5).toFixed(1)}" text-anchor="end">${text}</text>`)}
    ${[1, 2, 4, 8].map((bits) => html`<text class="note" x="${x(bits).toFixed(1)}" y="${cell.height - 8}" text-anchor="middle">${bits}</text>`)}
    ${full === undefined ? undefined : html`<line class="full" x1="${plot.left}" x2="${right}" y1="${y(full).toFixed(1)}" y2="${y(full).toFixed(1)}" />`}${lines} `
}

/** A point that was measured; hollow on a dashed line. */
function mark(
  x: string | number,
  y: string | number,
  { colour, dash }: { readonly colour: string; readonly dash: string },
): Markup {
  return dash === ''
    ? html`<circle cx="${x}" cy="${y}" r="2.2" fill="${colour}" />`
    : html`<circle class="hollow" cx="${x}" cy="${y}" r="2.2" stroke="${colour}" />`
}

/** Who is who, and what the axes are. */
function legend(variants: readonly Variant[], top: number): Markup {
  const places = variants.map((_, i) => ({ x: plot.left + (i % 3) * 310, y: top + Math.floor(i / 3) * 18 }))
  return html`${variants.map(({ label }, i) => {
      const { colour, dash } = strokes[i % strokes.length]
      const { x, y } = places[i]
      return html`<path
          class="line"
          d="M${x} ${y - 4}h26"
          stroke="${colour}"
          stroke-dasharray="${dash}"
        />${mark(x + 13, y - 4, { colour, dash })}<text x="${x + 33}" y="${y}">${label}</text> `
    })}<text class="note" x="${plot.left}" y="${top + 40}"
      >across: bits a weight, scales counted; up: relative error of the layer’s output with all convolutions changed;
      dotted: the network as it was</text
    >`
}
