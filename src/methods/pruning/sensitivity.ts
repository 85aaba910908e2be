/** What a classifier loses when one layer alone is pruned: how much each layer can give up. */
import { maxLossOptions } from '../trials.ts'
import type { Context, Sensitivity, SensitivityCurve } from '../method.ts'
import { leastAccuracy, measureSensitivity, type Measured, type SensitivityFacts } from '../sensitivity.ts'

/** The options by which a family finds out how much each layer gives up. */
export const pruningLossOptions = maxLossOptions(
  'points of accuracy on validation data that a layer may lose when it alone is pruned, before any retraining: each ' +
    'gives up the largest share tried that loses no more',
  'examples of the validation data on which these losses are measured',
)

/** A layer, or several that can only be pruned together, and what is left when so many of its parts are gone. */
export interface LayerToPrune {
  readonly name: string
  /** How many filters or weights there are. */
  readonly size: number
  /** The shares to try, as numbers of what goes, ascending. */
  readonly counts: readonly number[]
  /** Measures the model without so many of them. */
  without(count: number): Promise<Measured>
}

/** What is measured, on what, and how many points each layer may lose. */
export interface SharesToMeasure extends Omit<SensitivityFacts, 'unit'> {
  readonly maxLoss?: number | undefined
}

/** Measures each layer at each share, alone, and chooses the largest share of each within the loss that is allowed. */
export async function measureShares(
  layers: readonly LayerToPrune[],
  { maxLoss, ...facts }: SharesToMeasure,
  context: Pick<Context, 'signal' | 'progress'>,
): Promise<Sensitivity> {
  const { accuracy, loss } = facts.whole
  const toTry = layers.map(({ name, size, counts, without }) => ({
    name,
    size,
    tries: counts.map((count) => ({ at: count / size, measure: () => without(count) })),
  }))
  const found = await measureSensitivity(toTry, { unit: 'ratio', ...facts }, context)
  const curves = found.curves.map((curve): SensitivityCurve => ({
    ...curve,
    points: [{ at: 0, accuracy, loss }, ...curve.points],
  }))
  if (maxLoss === undefined) return { ...found, curves }
  const floor = leastAccuracy(accuracy, maxLoss)
  const chosenOf = ({ points }: SensitivityCurve) =>
    points.reduce((chosen, point) => (point.accuracy >= floor ? Math.max(chosen, point.at) : chosen), 0)
  return { ...found, maxLoss, curves: curves.map((curve) => ({ ...curve, chosen: chosenOf(curve) })) }
}
