/** How a measurement of sensitivity is told in its unit: what plots and tables have in common. */
import type { Sensitivity, SensitivityCurve } from '../methods/method.ts'

type Point = SensitivityCurve['points'][number]

/** The words and numbers of an axis. */
export interface SensitivityScale {
  readonly title: string
  /** What is done to one layer alone, behind 'accuracy when one layer alone'. */
  readonly alone: string
  /** What the accuracy of the model as it is goes with. */
  readonly whole: string
  /** By what values were chosen, where they were. */
  readonly rule?: string
  /** The ends of the axis, and what it says. */
  readonly ends: readonly [number, number]
  readonly ticks: readonly number[]
  readonly axis: string
  tick(at: number): string
  /** The values that a table has columns for. */
  readonly columns: readonly number[]
  /** The column of what was chosen. */
  readonly chosen: string
  /** What stands in a column; undefined where the layer has no such value. */
  pointAt(curve: SensitivityCurve, at: number): Point | undefined
  /** A value with its unit. */
  format(at: number): string
  /** What of a layer was chosen. */
  choice(at: number, size: string): string
}

/** The scale of a measurement. */
export function scaleOf(found: Sensitivity): SensitivityScale {
  return found.unit === 'ratio' ? shareScale(found) : precisionScale(found, found.unit)
}

const tenths = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]

function shareScale({ parts, maxLoss }: Sensitivity): SensitivityScale {
  const percent = (at: number) => `${(at * 100).toFixed(0)} %`
  return {
    title: 'What each layer can give up',
    alone: `loses so many of its ${parts}`,
    whole: 'with all',
    ...(maxLoss === undefined
      ? {}
      : { rule: `each gives up the largest share tried that costs no more than ${points(maxLoss)}` }),
    ends: [0, 1],
    ticks: [0, 0.2, 0.4, 0.6, 0.8, 1],
    axis: `${parts} of one layer removed`,
    tick: percent,
    columns: tenths,
    chosen: 'gives up',
    // At the largest share tried that is no larger: of few filters not every share can be removed.
    pointAt: (curve, share) => curve.points.findLast(({ at }) => at <= share + 1e-9),
    format: percent,
    choice: (at, size) => `${percent(at)} of ${size}`,
  }
}

function precisionScale(found: Sensitivity, unit: Exclude<Sensitivity['unit'], 'ratio'>): SensitivityScale {
  const { parts, maxLoss, averageBits, curves } = found
  const tried = [...new Set(curves.flatMap((curve) => curve.points.map(({ at }) => at)))].sort((a, b) => a - b)
  const [least, most] = [tried[0] ?? 1, tried.at(-1) ?? 1]
  const format = (at: number) => `${at} ${at === 1 ? unit.slice(0, -1) : unit}`
  const budgets = [
    ...(maxLoss === undefined ? [] : [`all layers together lose no more than ${points(maxLoss)}`]),
    ...(averageBits === undefined ? [] : [`a weight takes no more than ${averageBits} bits on average`]),
  ]
  return {
    title: 'What each layer loses in few bits',
    alone: `has so many ${unit}`,
    whole: 'as it is',
    ...(budgets.length === 0 ? {} : { rule: `each takes so many that ${budgets.join(' and ')}` }),
    ends: least === most ? [least - 1, most + 1] : [least, most],
    ticks: tried,
    axis: `${unit} of one layer`,
    tick: String,
    columns: tried,
    chosen: 'takes',
    pointAt: (curve, value) => curve.points.find(({ at }) => at === value),
    format,
    choice: (at, size) => `${format(at)}, ${size} ${parts}`,
  }
}

function points(count: number): string {
  return `${count} ${count === 1 ? 'point' : 'points'}`
}
