/** Quantization little by little: a portion of each layer's weights is fixed, what is left learns to make up for it. */
import type { Granularity } from '../../../../ir/families/quantization.ts'
import type { Model } from '../../../../ir/model.ts'
import { fromFloat32, toFloat32 } from '../../../../tensor/half.ts'
import type { Tensor } from '../../../../tensor/tensor.ts'
import { retrainHolding } from '../../../held-weights.ts'
import type { Context } from '../../../method.ts'
import { masksOfZeros } from '../../../masks.ts'
import type { RetrainOption } from '../../../retraining.ts'
import { withInitializers } from '../../../weights.ts'
import { layoutOf, partsOf, type GranularityOptions } from './quantized-layer.ts'
import type { LayerToTrain } from './trained-form.ts'

/** How a layer is quantized in portions. */
export interface LayerInPortions extends LayerToTrain<GranularityOptions> {
  /** The share of the weights that is quantized after each step, ascending to 1. */
  readonly portions: readonly number[]
  /** One score a weight, asked in each step: of those that are free the largest are quantized. */
  score(values: Float32Array): Float32Array
  /**
   * What a value becomes, among weights that share a scale, at least one of which is not zero. It is told by the
   * weights before training and holds in all steps, so that what was quantized is what a later step would make of it.
   */
  grid(before: Float32Array): (value: number) => number
}

/** How each portion, and the last, is followed by training. */
export interface PortionTraining {
  readonly settings: Exclude<RetrainOption, false>
  readonly finish?: RetrainOption
  readonly context: Context
}

/**
 * Quantizes the next portion of all weights and trains what is left, until nothing is. What was quantized stays, bit
 * for bit; what is zero from the start, as pruning leaves it, stays that too and counts in no share. A weight that has
 * fewer portions than others is done earlier. The trainings are called 'portion 1/4' and so on.
 * @returns the model with quantized values in the places of the weights.
 */
export async function trainInPortions(
  model: Model,
  layers: readonly LayerInPortions[],
  { settings, finish, context }: PortionTraining,
): Promise<Model> {
  const free = masksOfZeros(model)
  const states = layers.map((one) => {
    const { weight } = one.layer
    const before = valuesOf(model, weight)
    const mask = free.get(weight) ?? before.map(() => 1)
    free.set(weight, mask)
    return { ...one, weight, size: mask.reduce((sum, value) => sum + value, 0), quantize: quantizer(model, one) }
  })
  const steps = Math.max(...layers.map(({ portions }) => portions.length))
  let current = model
  for (let step = 1; step <= steps; step++) {
    context.signal?.throwIfAborted()
    const next = new Map<string, Tensor>()
    for (const { weight, size, portions, score, quantize } of states) {
      const mask = free.get(weight)!
      const share = portions[Math.min(step, portions.length) - 1]
      const values = valuesOf(current, weight)
      const chosen = largest(score(values), mask, size - Math.round(share * size))
      const quantized = quantize(values)
      for (const i of chosen) values[i] = quantized[i]
      // A new one, since the graph that was trained holds the old.
      free.set(weight, withZeros(mask, chosen))
      const { dtype, shape } = current.graph.initializers.get(weight)!
      next.set(weight, fromFloat32(dtype, shape, values))
    }
    current = withInitializers(current, next)
    if (step === steps && finish === false) return current
    const own = step === steps ? { ...settings, ...(finish || undefined) } : settings
    current = await retrainHolding(current, free, own, context, `portion ${step}/${steps}`)
  }
  return current
}

/** The places with the largest scores among those that are free, so many that `stay` of them stay free. */
function largest(scores: Float32Array, mask: Float32Array, stay: number): Uint32Array {
  const open = Uint32Array.from(mask.keys()).filter((i) => mask[i] === 1)
  return open.sort((a, b) => scores[b] - scores[a] || a - b).subarray(0, Math.max(0, open.length - stay))
}

function withZeros(mask: Float32Array, places: Uint32Array): Float32Array {
  const next = mask.slice()
  for (const i of places) next[i] = 0
  return next
}

/**
 * Quantizes a layer's values, each by the grid of those with which it shares a scale; what was all zero becomes that.
 */
function quantizer(model: Model, { layer, options, grid }: LayerInPortions): (values: Float32Array) => Float32Array {
  const before = valuesOf(model, layer.weight)
  const { shape } = model.graph.initializers.get(layer.weight)!
  // The family asks for layers only that can be laid out so.
  const layout = layoutOf(layer, shape, options) as Granularity
  const parts = partsOf(layout, shape).map((places) => {
    const own = Float32Array.from(places, (i) => before[i])
    return { places, round: own.some((value) => value !== 0) ? grid(own) : () => 0 }
  })
  return (values) => {
    const quantized = new Float32Array(values.length)
    for (const { places, round } of parts) for (const i of places) quantized[i] = round(values[i])
    return quantized
  }
}

function valuesOf({ graph }: Model, name: string): Float32Array {
  return toFloat32(graph.initializers.get(name)!).slice()
}
