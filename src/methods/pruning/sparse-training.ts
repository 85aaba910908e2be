/** What methods have in common that find out while training which weights go. */
import type { z } from 'zod'
import type { Model } from '../../ir/model.ts'
import { layers, type Layer } from '../../ir/rewrite.ts'
import { toFloat32 } from '../../tensor/half.ts'
import { UsageError } from '../../errors.ts'
import { chooseLayers, type LayerChoice } from '../layer-choice.ts'
import type { Context } from '../method.ts'
import { partialTrainingSettings, retrains } from '../retraining.ts'
import { finiteWeights, isPlainFloat } from '../weights.ts'

/** The options of the two trainings: the one that makes weights vanish, and the one of what is left. */
export const sparseTrainingOptions = {
  retrain: partialTrainingSettings
    .optional()
    .describe('training settings while weights vanish; default: as the recipe says'),
  finish: partialTrainingSettings
    .optional()
    .describe('training settings that differ afterwards, when what is zero stays zero'),
}

export interface SparseTrainingOptions extends LayerChoice {
  readonly retrain?: z.infer<typeof partialTrainingSettings>
  readonly finish?: z.infer<typeof partialTrainingSettings>
}

/**
 * The chosen layers whose weights are plain floats, one for each different weight.
 * @throws UsageError when there is no data to train on, or a pattern names no layer.
 * @throws ModelError when a weight is not finite.
 */
export function sparseLayers(model: Model, options: SparseTrainingOptions, context: Context): Layer[] {
  const chosen = chooseLayers(model, options, context).filter((layer) => {
    const plain = isPlainFloat(model, layer)
    if (plain) finiteWeights(layer.weight, model.graph.initializers.get(layer.weight)!)
    else context.skip(layer.name, 'its weights are not plain floats: they were shared or quantized before')
    return plain
  })
  retrains({}, context)
  return chosen
}

/** @throws UsageError when nothing is left of one of the layers, with `hint` as the remedy. */
export function assertAlive(model: Model, names: readonly string[], hint: string): void {
  const dead = layers(model).find(({ name, weight }) => {
    return names.includes(name) && !toFloat32(model.graph.initializers.get(weight)!).some((value) => value !== 0)
  })
  if (dead)
    throw new UsageError('removes-whole-layer', `all weights of '${dead.name}' went`, { place: dead.name, hint })
}
