/** What a classifier loses when one layer alone is changed: how much of it each layer bears. */
import { ModelError } from '../errors.ts'
import type { Evaluation } from '../training/evaluate.ts'
import type { Context, Sensitivity, SensitivityCurve } from './method.ts'

/** What is measured of a model. */
export type Measured = Pick<Evaluation, 'accuracy' | 'loss'>

/** A layer, or several that can only be changed together. */
export interface LayerToTry {
  readonly name: string
  /** How many filters or weights there are. */
  readonly size: number
  /** What is tried. */
  readonly tries: readonly Try[]
}

export interface Try {
  /** In the unit of the measurement. */
  readonly at: number
  /** Measures the model with the layer changed so; undefined where the layer cannot be. */
  measure(): Promise<Measured | undefined>
}

/** What is measured, and on what. */
export interface SensitivityFacts extends Pick<Sensitivity, 'unit' | 'parts' | 'data' | 'count'> {
  /** The model as it is. */
  readonly whole: Measured
}

/**
 * Measures each layer in each way that is to be tried, alone.
 * @throws ModelError where the loss of the model as it is is not finite: then no comparison says anything.
 */
export async function measureSensitivity(
  layers: readonly LayerToTry[],
  { whole, ...facts }: SensitivityFacts,
  { signal, progress }: Pick<Context, 'signal' | 'progress'>,
): Promise<Sensitivity> {
  if (!Number.isFinite(whole.loss))
    throw new ModelError('loss-not-finite', `the loss of the model on validation data is ${whole.loss}`, {
      place: 'validation',
      hint: 'Export the model again from a run that did not diverge, or look at the data that it is measured on.',
    })
  const total = layers.reduce((sum, { tries }) => sum + tries.length, 0)
  let done = 0
  const curves: SensitivityCurve[] = []
  for (const { name, size, tries } of layers) {
    const points: SensitivityCurve['points'][number][] = []
    for (const { at, measure } of tries) {
      signal?.throwIfAborted()
      const found = await measure()
      if (found) {
        const { accuracy, loss } = found
        points.push({ at, accuracy, ...(Number.isFinite(loss) ? { loss } : {}) })
      }
      progress?.({ task: 'sensitivity', done: ++done, total, detail: { layer: name } })
    }
    curves.push({ layer: name, size, points: points.toSorted((a, b) => a.at - b.at) })
  }
  return { ...facts, accuracy: whole.accuracy, curves }
}

/** The least accuracy that is left when so many points are lost, but for rounding. */
export function leastAccuracy(whole: number, maxLoss: number): number {
  return whole - maxLoss / 100 - 1e-9
}
