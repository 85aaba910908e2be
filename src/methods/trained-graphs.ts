/**
 * What holds of a graph that is trained in a model's place: gradients reach what learns, and what is frozen computes
 * it.
 */
import { UsageError } from '../errors.ts'
import { graphIndex, valuesRead } from '../ir/graph.ts'
import { operatorKey, type Model } from '../ir/model.ts'
import { operators } from '../ir/ops/index.ts'
import { toFloat32Model } from '../ir/precision.ts'
import type { Layer } from '../ir/rewrite.ts'
import { largestMagnitude } from '../tensor/magnitudes.ts'
import { lift } from '../training/lift.ts'
import { createPredictor } from '../training/predictor.ts'
import type { Context, ProofCheck } from './method.ts'

/**
 * Refuses to train weights that would learn nothing.
 * @throws UsageError naming the first layer on whose weights the trained output does not depend in a way that has a
 * gradient.
 */
export function checkReached(model: Model, wanted: readonly Pick<Layer, 'name' | 'weight'>[]): void {
  refuseLost(
    model,
    wanted.map(({ name, weight }) => ({ name, value: weight, what: `what '${name}' is to learn` })),
  )
}

/**
 * Refuses to train a network with layers in it that the training does not see.
 * @throws UsageError naming the first layer on whose output the trained output does not depend in a way that has a
 * gradient.
 */
export function checkOutputsReached(model: Model, wanted: readonly Pick<Layer, 'name' | 'node'>[]): void {
  refuseLost(
    model,
    wanted.map(({ name, node }) => ({ name, value: node.outputs[0], what: `what '${name}' puts out` })),
  )
}

function refuseLost(
  model: Model,
  wanted: readonly { readonly name: string; readonly value: string; readonly what: string }[],
): void {
  const { graph } = lift(model)
  const index = graphIndex(graph)
  const reached = new Set<string>()
  const pending = graph.outputs.slice(0, 1).map(({ name }) => name)
  for (let value = pending.pop(); value !== undefined; value = pending.pop()) {
    if (reached.has(value)) continue
    reached.add(value)
    const node = index.producer(value)
    if (node && operators.get(operatorKey(node))?.differentiable !== 'none') pending.push(...valuesRead(node))
  }
  const lost = wanted.find(({ value }) => !reached.has(value))
  if (lost)
    throw new UsageError('no-gradient-reaches', `no gradient reaches ${lost.what}`, {
      place: lost.name,
      hint: 'Exclude the layer, or set retrain: false to quantize what is there.',
    })
}

/** How many validation examples the frozen model is compared on, and how far apart the outputs may be, relatively. */
const EXAMPLES = 32
const TOLERANCE = 1e-3
/** The same where weights are stored in halves. */
const HALF_TOLERANCE = 2e-2

/**
 * Compares the outputs of the frozen model with those of the graph that was trained, on examples of the validation
 * data.
 * @param name of the method, for the report.
 * @param frozen the model, or why it cannot be compared.
 * @throws UsageError when the trained network puts out NaN.
 */
export async function checkFrozen(
  name: string,
  graph: Model,
  frozen: Model | string,
  context: Context,
): Promise<ProofCheck> {
  const check = `${name}: the frozen network computes what was trained`
  if (typeof frozen === 'string') return { check, passed: true, leftOut: true, detail: frozen }
  const { validation } = context.data!
  const size = Math.min(EXAMPLES, validation.size)
  if (size === 0) return { check, passed: true, leftOut: true, detail: 'there are no validation examples' }
  const { inputs } = await validation.batch(Array.from({ length: size }, (_, i) => i))
  const wide = toFloat32Model(frozen)
  const outputs = await Promise.all(
    [graph, wide].map(async (model) => {
      const predictor = await createPredictor(model, validation.inputShape, context.engine)
      try {
        return (await predictor.predict(inputs)).data
      } finally {
        await predictor.close()
      }
    }),
  )
  const [trained, written] = outputs
  if (trained.some(Number.isNaN))
    throw new UsageError('training-diverged', 'the trained network puts out NaN for a validation example', {
      place: name,
      hint: 'Lower the learning rate, exclude layers whose weights are huge, or set retrain: false.',
    })
  const largest = largestMagnitude(trained.filter(Number.isFinite))
  const apart = largestMagnitude(trained.map((value, i) => (value === written[i] ? 0 : value - written[i])))
  const difference = apart === 0 ? 0 : apart / largest
  return {
    check,
    passed: difference <= (wide === frozen ? TOLERANCE : HALF_TOLERANCE),
    detail: `outputs for ${size} validation examples differ by ${difference.toExponential(1)} of the largest`,
  }
}
