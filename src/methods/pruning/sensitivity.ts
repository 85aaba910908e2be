/** What a classifier loses when one layer alone is pruned: how much each layer can give up. */
import type { Evaluation } from '../../training/evaluate.ts'
import { maxLossOptions } from '../trial-data.ts'
import type { Context, Sensitivity, SensitivityCurve } from '../method.ts'

/** The options by which a family finds out how much each layer gives up. */
export const pruningLossOptions = maxLossOptions(
  'points of accuracy on validation data that a layer may lose when it alone is pruned, before any retraining: each ' +
    'gives up the largest share tried that loses no more',
  'examples of the validation data on which these losses are measured',
)

/** A layer, or several that can only be pruned together, and what is left when so many of its parts are gone. */
export interface LayerToTry {
  readonly name: string
  /** How many filters or weights there are. */
  readonly size: number
  /** The shares to try, as numbers of what goes, ascending. */
  readonly counts: readonly number[]
  /** Measures the model without so many of them. */
  without(count: number): Promise<Pick<Evaluation, 'accuracy' | 'loss'>>
}

/** What is measured, and on what. */
export interface SensitivityFacts extends Pick<Sensitivity, 'unit' | 'data' | 'count'> {
  /** The model as it is. */
  readonly whole: Pick<Evaluation, 'accuracy' | 'loss'>
  readonly maxLoss?: number | undefined
}

/** Measures each layer at each share, alone, and chooses the largest share of each within the loss that is allowed. */
export async function measureSensitivity(
  layers: readonly LayerToTry[],
  { unit, data, count, whole, maxLoss }: SensitivityFacts,
  { signal, progress }: Pick<Context, 'signal' | 'progress'>,
): Promise<Sensitivity> {
  const total = layers.reduce((sum, { counts }) => sum + counts.length, 0)
  let done = 0
  const curves: SensitivityCurve[] = []
  for (const { name, size, counts, without } of layers) {
    const points = [{ ratio: 0, accuracy: whole.accuracy, loss: whole.loss }]
    for (const gone of counts) {
      signal?.throwIfAborted()
      const { accuracy, loss } = await without(gone)
      points.push({ ratio: gone / size, accuracy, loss })
      progress?.({ task: 'sensitivity', done: ++done, total, detail: { layer: name } })
    }
    curves.push({ layer: name, size, points })
  }
  const found = { unit, data, count, accuracy: whole.accuracy }
  if (maxLoss === undefined) return { ...found, curves }
  const floor = whole.accuracy - maxLoss / 100 - 1e-9
  const chosenOf = ({ points }: SensitivityCurve) =>
    points.reduce((chosen, { ratio, accuracy }) => (accuracy >= floor ? Math.max(chosen, ratio) : chosen), 0)
  return { ...found, maxLoss, curves: curves.map((curve) => ({ ...curve, chosen: chosenOf(curve) })) }
}
