import { createDraft } from '../../ir/draft.ts'
import type { Model } from '../../ir/model.ts'
import { layers, type Layer } from '../../ir/rewrite.ts'
import { fromFloat32, toFloat32 } from '../../tensor/half.ts'
import { float32, type Tensor } from '../../tensor/tensor.ts'
import { isPlainFloat, withInitializers } from '../weights.ts'

/** By the name of a weight: 1 where it stays, 0 where it is removed; of the weight's shape. */
export type Masks = ReadonlyMap<string, Float32Array>

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

/** The model with `Mul(W, mask)` in the place of each masked weight W, so that training moves only what is left. */
export function withMasks(model: Model, masks: Masks): Model {
  const draft = createDraft(model)
  for (const [name, mask] of masks) {
    const constant = draft.constant(`${name}.mask`, float32(mask, model.graph.initializers.get(name)!.shape))
    const masked = draft.add('Mul', [name, constant])
    const position = draft.nodes.length - 1
    draft.redirect(name, masked)
    draft.nodes[position] = { ...draft.nodes[position], inputs: [name, constant] }
  }
  return draft.finish()
}
