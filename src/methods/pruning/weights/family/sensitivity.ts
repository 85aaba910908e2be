import type { Model } from '../../../../ir/model.ts'
import { toFloat32Model } from '../../../../ir/precision.ts'
import type { Layer } from '../../../../ir/rewrite.ts'
import { toFloat32 } from '../../../../tensor/half.ts'
import { elementCount, float32, type Tensor } from '../../../../tensor/tensor.ts'
import { evaluateWith } from '../../../../training/evaluate.ts'
import { createPredictor } from '../../../../training/predictor.ts'
import type { Context, Sensitivity } from '../../../method.ts'
import { trialData } from '../../../trial-data.ts'
import type { Units } from './patterns.ts'
import { measureSensitivity } from '../../sensitivity.ts'
import type { PruningOptions } from './options.ts'

const sparsities = [0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99]

/** Layers whose weights can be removed by degrees. */
export interface LayersToMeasure {
  readonly model: Model
  readonly layers: readonly Layer[]
  /** By weight, where there is a pattern. */
  readonly units: ReadonlyMap<string, Units>
  readonly options: Pick<PruningOptions, 'maxLoss' | 'maxLossSamples'>
  readonly context: Context
  /** The weight of a layer without this share of its elements. */
  without(layer: Layer, sparsity: number): Promise<Tensor>
}

/**
 * Accuracy with each layer pruned alone, at shares up to 99 in 100; with a pattern N:M at the one that it has.
 * @throws UsageError when there is no validation data.
 */
export async function weightSensitivity(input: LayersToMeasure): Promise<Sensitivity> {
  const { layers, units, options, context, without } = input
  const data = trialData(options.maxLossSamples, context)
  const model = toFloat32Model(input.model)
  const promoted = layers.map(({ weight }) => weight)
  const state = Object.fromEntries(promoted.map((name) => [name, model.graph.initializers.get(name)!]))
  const predictor = await createPredictor(model, data.inputShape, context.engine, { promoted })
  const evaluate = (changed: Readonly<Record<string, Tensor>> = {}) =>
    evaluateWith(predictor, data, {}, { ...state, ...changed })
  try {
    const toTry = layers.map((layer) => {
      const { shape } = state[layer.weight]
      const size = elementCount(shape)
      const kept = units.get(layer.weight)?.keep?.reduce((sum, keep) => sum + keep, 0)
      const counts = kept === undefined ? sparsities.map((share) => Math.round(share * size)) : [size - kept]
      return {
        name: layer.name,
        size,
        counts: [...new Set(counts)].filter((count) => count > 0 && count < size),
        without: async (count: number) =>
          evaluate({ [layer.weight]: float32(toFloat32(await without(layer, count / size)), shape) }),
      }
    })
    const facts = { unit: 'weights' as const, data: data.name, count: data.size, whole: await evaluate() }
    return await measureSensitivity(toTry, { ...facts, maxLoss: options.maxLoss }, context)
  } finally {
    await predictor.close()
  }
}
