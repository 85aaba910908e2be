import type { Model } from '../ir/model.ts'
import { layers, type Layer } from '../ir/rewrite.ts'
import { fromFloat32, toFloat32 } from '../tensor/half.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { Masks } from './held-weights.ts'
import { isPlainFloat, withInitializers } from './weights.ts'

/** Masks of the plain weights that have zeros. */
export function masksOfZeros(model: Model, among: readonly Layer[] = layers(model)): Map<string, Float32Array> {
  const masks = new Map<string, Float32Array>()
  for (const layer of among) {
    if (masks.has(layer.weight) || !isPlainFloat(model, layer)) continue
    const values = toFloat32(model.graph.initializers.get(layer.weight)!)
    if (values.includes(0))
      masks.set(
        layer.weight,
        values.map((value) => (value === 0 ? 0 : 1)),
      )
  }
  return masks
}

/** The model with zeros where a mask has them. */
export function withMasksApplied(model: Model, masks: Masks): Model {
  const replaced = new Map<string, Tensor>()
  for (const [name, mask] of masks) {
    const tensor = model.graph.initializers.get(name)!
    const values = toFloat32(tensor)
    const kept = values.map((value, i) => (mask[i] === 0 ? 0 : value))
    replaced.set(name, fromFloat32(tensor.dtype, tensor.shape, kept))
  }
  return withInitializers(model, replaced)
}
