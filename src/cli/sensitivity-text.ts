import type { Sensitivity, SensitivityCurve } from '../methods/method.ts'
import { formatCount, formatPercent } from './format.ts'
import { formatTable, names, right } from './table.ts'

/** The shares that the table has columns for. */
const shown = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]

/** A line a layer: its accuracy at each share, where it alone has lost that; and what it gives up, where that was chosen. */
export function formatSensitivity({ unit, accuracy, count, data, maxLoss, curves }: Sensitivity): string {
  const chosen = maxLoss === undefined ? [] : [right('gives up')]
  const rows = curves.map((curve) => [
    curve.layer,
    formatCount(curve.size),
    ...shown.map((share) => formatPercent(accuracyAt(curve, share), 1)),
    ...(curve.chosen === undefined ? [] : [formatPercent(curve.chosen, 0)]),
  ])
  const columns = [names('layer'), right(unit), ...shown.map((share) => right(formatPercent(share, 0))), ...chosen]
  const rule = maxLoss === undefined ? '' : `; at most ${maxLoss} points may be lost`
  return `sensitivity: accuracy when one layer alone loses so many of its ${unit}; ${formatPercent(accuracy, 1)} with all, on ${formatCount(count)} validation examples of ${data}${rule}\n${formatTable(columns, rows)}`
}

/** At the largest share tried that is no larger: of few filters not every share can be removed. */
function accuracyAt({ points }: SensitivityCurve, share: number): number {
  return points.findLast(({ ratio }) => ratio <= share + 1e-9)!.accuracy
}
