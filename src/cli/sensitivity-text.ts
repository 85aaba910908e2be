import type { Sensitivity } from '../methods/method.ts'
import { scaleOf } from '../pipelines/sensitivity-scale.ts'
import { formatCount, formatPercent } from './format.ts'
import { formatTable, names, right } from './table.ts'

/** A line a layer: its accuracy at each share or precision, where it alone has that; and which it gets, where it was chosen. */
export function formatSensitivity(found: Sensitivity): string {
  const { parts, accuracy, count, data, curves } = found
  const { alone, whole, rule, columns, chosen, pointAt, format } = scaleOf(found)
  const rows = curves.map((curve) => [
    curve.layer,
    formatCount(curve.size),
    ...columns.map((at) => {
      const point = pointAt(curve, at)
      return point ? formatPercent(point.accuracy, 1) : '-'
    }),
    ...(curve.chosen === undefined ? [] : [format(curve.chosen)]),
  ])
  const titles = [
    names('layer'),
    right(parts),
    ...columns.map((at) => right(format(at))),
    ...(rule === undefined ? [] : [right(chosen)]),
  ]
  return `sensitivity: accuracy when one layer alone ${alone}; ${formatPercent(accuracy, 1)} ${whole}, on ${formatCount(count)} validation examples of ${data}${rule === undefined ? '' : `; ${rule}`}\n${formatTable(titles, rows)}`
}
