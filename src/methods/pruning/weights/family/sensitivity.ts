import type { Model } from '../../../../ir/model.ts'
import type { Layer } from '../../../../ir/rewrite.ts'
import { toFloat32 } from '../../../../tensor/half.ts'
import { elementCount, type Tensor } from '../../../../tensor/tensor.ts'
import type { Context, Sensitivity } from '../../../method.ts'
import { withWeightTrials } from '../../../trials.ts'
import { measureShares } from '../../sensitivity.ts'
import type { Units } from './patterns.ts'
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
export function weightSensitivity(input: LayersToMeasure): Promise<Sensitivity> {
  const { model, layers, units, options, context, without } = input
  return withWeightTrials({ model, layers, samples: options.maxLossSamples, context }, async ({ data, measure }) => {
    const toPrune = layers.map((layer) => {
      const size = elementCount(model.graph.initializers.get(layer.weight)!.shape)
      const kept = units.get(layer.weight)?.keep?.reduce((sum, keep) => sum + keep, 0)
      const counts = kept === undefined ? sparsities.map((share) => Math.round(share * size)) : [size - kept]
      return {
        name: layer.name,
        size,
        counts: [...new Set(counts)].filter((count) => count > 0 && count < size),
        without: async (count: number) =>
          measure(new Map([[layer.weight, toFloat32(await without(layer, count / size))]])),
      }
    })
    const whole = await measure(new Map())
    const facts = { parts: 'weights' as const, data: data.name, count: data.size, whole, maxLoss: options.maxLoss }
    return measureShares(toPrune, facts, context)
  })
}
