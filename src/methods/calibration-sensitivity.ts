/** How much the answers of a classifier depend on the output of each layer. */
import { differentiate } from '../autodiff/gradient.ts'
import type { Dataset } from '../datasets/dataset.ts'
import { createDraft } from '../ir/draft.ts'
import type { Model } from '../ir/model.ts'
import { toFloat32Model } from '../ir/precision.ts'
import type { Layer } from '../ir/rewrite.ts'
import { inferShapes, rebatch } from '../ir/shapes.ts'
import { createRandom } from '../tensor/random.ts'
import { int64 } from '../tensor/tensor.ts'
import { fitInput, type FittedInput } from '../training/predictor.ts'
import { CALIBRATION_BATCH, sumOutputs } from './calibration.ts'
import { withLikelihood, type Likelihood } from './likelihood.ts'
import type { Context } from './method.ts'

/**
 * What a squared error of 1 at every place of each output channel costs, in nats of divergence between the answers
 * before and after: half the diagonal of the Fisher information, ½ E[Σ_places (∂ log p_y / ∂ output)²] with labels y drawn
 * from the model's own answers p, which are its Hessian's best known part and need no labels. By the name of the
 * layer's weight; layers that share one add up.
 * @throws UnsupportedError when the model cannot be differentiated, UsageError when it does not fit the data.
 */
export async function outputSensitivity(
  model: Model,
  layers: readonly Layer[],
  data: Dataset,
  samples: number,
  context: Pick<Context, 'engine' | 'signal' | 'progress' | 'seed'>,
): Promise<ReadonlyMap<string, Float64Array>> {
  const wide = rebatch(toFloat32Model(model), CALIBRATION_BATCH)
  const random = createRandom(context.seed).fork('sensitivity')
  const likelihood = withLikelihood(wide, { batch: CALIBRATION_BATCH, labels: 'drawn', random, place: data.name })
  const { draft, loss } = likelihood
  const outputs = layers.map(({ node }) => node.outputs[0])
  const { model: differentiated, gradients } = differentiate(draft.finish(), { loss, parameters: [], inputs: outputs })
  const input = fitInput(wide, data.inputShape)
  const sums = await squareSums(differentiated, layers, gradients, { data, samples, context, likelihood, input })
  const found = new Map<string, Float64Array>()
  const count = Math.ceil(Math.min(samples, data.size) / CALIBRATION_BATCH) * CALIBRATION_BATCH
  for (const [i, layer] of layers.entries()) {
    const known = found.get(layer.weight)
    found.set(
      layer.weight,
      sums[i].map((sum, channel) => sum / (2 * count) + (known?.[channel] ?? 0)),
    )
  }
  return found
}

interface Draws {
  readonly data: Dataset
  readonly samples: number
  readonly context: Pick<Context, 'engine' | 'signal' | 'progress' | 'seed'>
  readonly likelihood: Likelihood
  readonly input: FittedInput
}

/** The sum of squares of each channel's gradients, over all examples and places. */
async function squareSums(
  differentiated: Model,
  layers: readonly Layer[],
  gradients: ReadonlyMap<string, string>,
  { data, samples, context, likelihood, input }: Draws,
): Promise<Float64Array[]> {
  const types = inferShapes(differentiated)
  const draft = createDraft(differentiated)
  draft.outputs.splice(0)
  const names = layers.map((layer) => {
    const gradient = gradients.get(layer.node.outputs[0])!
    const rank = types.get(gradient)!.shape!.length
    const channel = outputChannelAxis(layer, rank)
    const rest = Array.from({ length: rank }, (_, axis) => axis).filter((axis) => axis !== channel)
    const axes = draft.constant('calibration.axes', int64(rest))
    const square = draft.add('ReduceSumSquare', [gradient, axes], { keepdims: 0 })
    draft.output(square, 'float32')
    return square
  })
  const session = await context.engine.createSession(draft.finish(), { purpose: 'check' })
  try {
    const sums = await sumOutputs(session, input, data, samples, {
      extra: (labels) => likelihood.feeds(labels),
      onDone(done) {
        context.signal?.throwIfAborted()
        context.progress?.({ task: 'sensitivity', done, total: samples })
      },
    })
    return names.map((name) => sums.get(name)!)
  } finally {
    await session.close()
  }
}

/** The axis of a layer's output along which its channels lie. */
export function outputChannelAxis({ node, input }: Layer, rank: number): number {
  if (node.op.startsWith('Conv')) return 1
  return input === 1 ? rank - 1 : rank - 2
}
