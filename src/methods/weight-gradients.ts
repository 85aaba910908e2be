/** The gradients of a classifier's loss by its weights, example by example. */
import { differentiate } from '../autodiff/gradient.ts'
import type { Dataset } from '../datasets/dataset.ts'
import type { Model } from '../ir/model.ts'
import { toFloat32Model } from '../ir/precision.ts'
import { rebatch } from '../ir/shapes.ts'
import { toFloat32 } from '../tensor/half.ts'
import { createRandom } from '../tensor/random.ts'
import { createTensor } from '../tensor/tensor.ts'
import { fitInput } from '../training/predictor.ts'
import { withLikelihood, type LabelSource } from './likelihood.ts'
import type { Context } from './method.ts'

export interface GradientOptions {
  /** How many examples are looked at, from the first on. */
  readonly samples: number
  readonly labels: LabelSource
}

/**
 * Calls `visit` with the gradient of the cross entropy of each example by each of the weights, in the weight's layout, by
 * its name. Batch normalization and Dropout are as in inference.
 * @throws UnsupportedError when the model cannot be differentiated, UsageError when it does not fit the data or its labels.
 */
export async function forEachGradient(
  model: Model,
  weights: readonly string[],
  data: Dataset,
  { samples, labels }: GradientOptions,
  context: Pick<Context, 'engine' | 'signal' | 'progress' | 'seed'>,
  visit: (gradients: ReadonlyMap<string, Float32Array>) => void | Promise<void>,
): Promise<void> {
  if (weights.length === 0) return
  const wide = rebatch(toFloat32Model(model), 1)
  const input = fitInput(wide, data.inputShape)
  const random = createRandom(context.seed).fork('gradients')
  const { draft, loss, feeds } = withLikelihood(wide, { batch: 1, labels, random, place: data.name })
  const { model: differentiated, gradients } = differentiate(draft.finish(), { loss, parameters: weights })
  const session = await context.engine.createSession(differentiated, { purpose: 'check' })
  try {
    const total = Math.min(samples, data.size)
    for (let example = 0; example < total; example++) {
      context.signal?.throwIfAborted()
      const batch = await data.batch([example])
      const image = createTensor('float32', input.shape(1), batch.inputs.data)
      const outputs = await session.run({ ...feeds(batch.labels), [input.name]: image }, [...gradients.values()])
      await visit(new Map(weights.map((name) => [name, toFloat32(outputs[gradients.get(name)!])])))
      context.progress?.({ task: 'gradients', done: example + 1, total })
    }
  } finally {
    await session.close()
  }
}

/** Means over examples, one a weight, in the weight's layout. */
export interface GradientMoments {
  /** E[g] */
  readonly mean: Float64Array
  /** E[g²], the diagonal of the Fisher information, empirical where labels are true ones. */
  readonly square: Float64Array
}

/** E[g] and E[g²] of the gradients g of single examples, by the name of the weight. @throws as `forEachGradient` does. */
export async function weightGradients(
  model: Model,
  weights: readonly string[],
  data: Dataset,
  options: GradientOptions,
  context: Pick<Context, 'engine' | 'signal' | 'progress' | 'seed'>,
): Promise<ReadonlyMap<string, GradientMoments>> {
  const moments = new Map<string, GradientMoments>()
  const share = 1 / Math.min(options.samples, data.size)
  await forEachGradient(model, weights, data, options, context, (gradients) => {
    for (const [name, values] of gradients) {
      const known = moments.get(name)
      const { mean, square } = known ?? {
        mean: new Float64Array(values.length),
        square: new Float64Array(values.length),
      }
      if (!known) moments.set(name, { mean, square })
      for (let i = 0; i < values.length; i++) {
        mean[i] += values[i] * share
        square[i] += values[i] * values[i] * share
      }
    }
  })
  return moments
}
