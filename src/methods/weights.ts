import { ModelError } from '../errors.ts'
import type { Model } from '../ir/model.ts'
import { layers, type Layer } from '../ir/rewrite.ts'
import { dtypes } from '../tensor/dtype.ts'
import { toFloat32 } from '../tensor/half.ts'
import type { Tensor } from '../tensor/tensor.ts'

/**
 * The numbers of a float weight.
 * @throws ModelError when one of them is not finite: nothing sensible can be computed from it.
 */
export function finiteWeights(name: string, tensor: Tensor): Float32Array {
  const values = toFloat32(tensor)
  const wrong = values.findIndex((value) => !Number.isFinite(value))
  if (wrong >= 0)
    throw new ModelError('weight-not-finite', `element ${wrong} of the weight '${name}' is ${values[wrong]}`, {
      place: name,
      hint: 'Export the model again from a run that did not diverge, or exclude the layer.',
    })
  return values
}

/**
 * The numbers of a layer's float weight.
 * @throws ModelError when one of them, or of the layer's bias, is not finite.
 */
export function finiteLayer({ graph: { initializers } }: Model, { weight, bias }: Layer): Float32Array {
  const constant = initializers.get(bias ?? '')
  if (constant && dtypes[constant.dtype].kind === 'float') finiteWeights(bias!, constant)
  return finiteWeights(weight, initializers.get(weight)!)
}

/** The standard deviation of all weights that are not zero: pruned ones say nothing about the spread of the others. */
export function deviation(...parts: readonly Float32Array[]): number {
  let count = 0
  let sum = 0
  for (const values of parts)
    for (const value of values)
      if (value !== 0) {
        count++
        sum += value
      }
  const mean = sum / count
  let squares = 0
  for (const values of parts) for (const value of values) if (value !== 0) squares += (value - mean) ** 2
  return count === 0 ? 0 : Math.sqrt(squares / count)
}

/** The model with some initializers replaced; everything else is shared with the original. */
export function withInitializers(model: Model, replaced: ReadonlyMap<string, Tensor>): Model {
  if (replaced.size === 0) return model
  const initializers = new Map(model.graph.initializers)
  for (const [name, tensor] of replaced) initializers.set(name, tensor)
  return { ...model, graph: { ...model.graph, initializers } }
}

/** Whether the layer's weight is a float tensor that is at most moved around: not codes, not a codebook, not masked. */
export function isPlainFloat(model: Model, layer: Layer): boolean {
  const dtype = model.graph.initializers.get(layer.weight)?.dtype
  const moved = layer.source.every(({ op }) => ['Identity', 'Reshape', 'Transpose', 'Cast'].includes(op))
  return moved && dtype !== undefined && ['float32', 'float16', 'bfloat16', 'float64'].includes(dtype)
}

/** The initializers from which layers compute their weights: the weights themselves, codes, codebooks, scales. */
export function weightsOfLayers(model: Model): Set<string> {
  return new Set(layers(model).flatMap((layer) => [...constantsOf(model, layer)]))
}

/** The initializers from which one layer's weight is computed. */
export function constantsOf(model: Model, layer: Layer): Set<string> {
  const read = layer.source.flatMap((node) => node.inputs.filter((input) => model.graph.initializers.has(input)))
  return new Set([layer.weight, ...read])
}
