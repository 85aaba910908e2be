/**
 * Retraining in which single weights stay what they are: zeros of a pruned layer, values that are quantized already.
 */
import { createDraft } from '../ir/draft.ts'
import type { Model } from '../ir/model.ts'
import { layers } from '../ir/rewrite.ts'
import { fromFloat32, toFloat32 } from '../tensor/half.ts'
import { float32, type Tensor } from '../tensor/tensor.ts'
import { trainableParameters } from '../training/parameters.ts'
import type { Context } from './method.ts'
import { adoptTrained, retrain } from './retraining.ts'
import { constantsOf, isPlainFloat, withInitializers } from './weights.ts'

/** By the name of a weight: 1 where training moves it, 0 where it stays as it is; of the weight's shape. */
export type Masks = ReadonlyMap<string, Float32Array>

/**
 * The model with `W · mask + held` in the place of each weight W, where `held` has the values that stay; without it
 * where all of these are zero. What is held is a constant: neither the gradient nor the decay of weights reaches it.
 */
export function withHeld(model: Model, masks: Masks): Model {
  const draft = createDraft(model)
  for (const [name, mask] of masks) {
    const tensor = model.graph.initializers.get(name)!
    const held = toFloat32(tensor).map((value, i) => (mask[i] === 0 ? value : 0))
    const constant = draft.constant(`${name}.mask`, float32(mask, tensor.shape))
    draft.interpose(name, () => {
      const free = draft.add('Mul', [name, constant])
      if (held.every((value) => value === 0)) return free
      return draft.add('Add', [free, draft.constant(`${name}.held`, float32(held, tensor.shape))])
    })
  }
  return draft.finish()
}

/**
 * Retrains what the masks leave free, with everything else that training moves. A weight that is held as a whole is no
 * parameter; where nothing is left to train, the model comes back as it is.
 */
export async function retrainHolding(
  model: Model,
  masks: Masks,
  settings: Parameters<typeof retrain>[2],
  context: Context,
  label: string,
  further?: Parameters<typeof retrain>[5],
): Promise<Model> {
  const parameters = parametersOf(model).filter((name) => masks.get(name)?.includes(1) ?? true)
  if (parameters.length === 0) return model
  const partly = new Map([...masks].filter(([, mask]) => mask.includes(1)))
  const trained = adoptTrained(
    model,
    await retrain(withHeld(model, partly), parameters, settings, context, label, further),
  )
  const restored = new Map<string, Tensor>()
  for (const [name, mask] of partly) {
    const [before, after] = [model, trained].map(({ graph }) => toFloat32(graph.initializers.get(name)!))
    const { dtype, shape } = model.graph.initializers.get(name)!
    const values = after.map((value, i) => (mask[i] === 0 ? before[i] : value))
    restored.set(name, fromFloat32(dtype, shape, values))
  }
  return withInitializers(trained, restored)
}

/** What retraining moves: codes and codebooks of layers that were shared or quantized before stay as they are. */
export function parametersOf(model: Model): string[] {
  const fixed = new Set(
    layers(model)
      .filter((layer) => !isPlainFloat(model, layer))
      .flatMap((layer) => [...constantsOf(model, layer)]),
  )
  return trainableParameters(model).filter((name) => !fixed.has(name))
}
