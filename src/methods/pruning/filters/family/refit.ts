/** Least squares for the layers that read what a cut takes away. */
import { channelGroups } from '../../../../ir/channel-groups.ts'
import type { Model } from '../../../../ir/model.ts'
import { elementCount } from '../../../../tensor/tensor.ts'
import type { Context } from '../../../method.ts'
import { refitWeights } from '../../../refit.ts'
import type { HessianOptions } from '../../../row-hessians.ts'
import { isPlainFloat } from '../../../weights.ts'
import type { ChosenChannels } from './choice.ts'

/**
 * The model in which no layer reads the channels that are to go, and the weights that read the others are refitted so that on
 * the training data each layer puts out what it did, as nearly as it can. Layers that cannot be refitted are reported.
 * @throws UsageError when there is no data, or it does not fit the model.
 */
export async function refitReaders(
  model: Model,
  removals: ChosenChannels,
  options: HessianOptions,
  context: Context,
): Promise<Model> {
  const masks = new Map<string, Float32Array>()
  for (const { id, consumers } of channelGroups(model))
    for (const { layer, places } of removals.has(id) ? consumers : []) {
      const weight = model.graph.initializers.get(layer.weight)
      if (!weight || layer.inAxis === undefined || !isPlainFloat(model, layer)) {
        context.skip(
          layer.name,
          'its weights were not refitted: they are shared or quantized, or a Reshape mixes its inputs',
        )
        continue
      }
      const gone = new Set(removals.get(id)!.flatMap((channel) => places[channel]))
      const size = weight.shape[layer.inAxis]
      const inner = elementCount(weight.shape.slice(layer.inAxis + 1))
      const mask = masks.get(layer.weight) ?? new Float32Array(elementCount(weight.shape)).fill(1)
      for (let i = 0; i < mask.length; i++) if (gone.has(Math.floor(i / inner) % size)) mask[i] = 0
      masks.set(layer.weight, mask)
    }
  return refitWeights(model, masks, context, options)
}
