import { z } from 'zod'
import { cutDeadChannels } from '../../../ir/cut-dead.ts'
import { layers } from '../../../ir/rewrite.ts'
import { weightsAndConnections } from '../../../paper.ts'
import { defineMethod } from '../../method.ts'
import { finiteWeights, isPlainFloat } from '../../weights.ts'

/**
 * Section 3.5 of Han et al. 2015: neurons with zero input connections or zero output connections may be removed, with all
 * connections to or from them. Nothing is lost by it, and no data is needed.
 *
 * Differs from the paper: where a neuron without inputs still gives the constant of its bias, the next layer takes that
 * over into its own bias at once, instead of leaving it to retraining.
 */
export const deadChannels = defineMethod({
  name: 'dead-channels',
  family: 'pruning',
  summary:
    'Cuts the channels whose incoming or outgoing weights are all zero, without changing what the model computes.',
  paper: weightsAndConnections,
  needs: [],
  options: z.strictObject({}),
  async apply(model, _, context) {
    for (const layer of layers(model))
      if (isPlainFloat(model, layer)) finiteWeights(layer.weight, model.graph.initializers.get(layer.weight)!)
    const { model: cut, left } = cutDeadChannels(model)
    for (const { layer, channels, reason } of left)
      context.skip(layer, `${channels.length} of its channels do nothing, but stay: ${reason}`)
    return cut
  },
})
