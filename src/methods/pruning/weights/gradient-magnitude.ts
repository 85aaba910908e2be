import { z } from 'zod'
import { calibrationSet } from '../../calibration.ts'
import { weightGradients } from '../../weight-gradients.ts'
import { defineWeightPruner } from './family/family.ts'

/**
 * Connection sensitivity, equation 4 of Lee et al. 2019: with W ⊙ c in the place of W, how fast the loss changes with each
 * c at c = 1, which is |w · ∂L/∂w|. The derivative of the loss by an attentional strength in front of a unit, of Mozer and
 * Smolensky (Skeletonization, NIPS 1988), taken of connections.
 *
 * Differs from the paper: it looks at one mini-batch of a network that has not been trained yet, and ranks the connections
 * of all layers together; that is `scope: global` here.
 */
export const gradientMagnitude = defineWeightPruner({
  name: 'gradient-magnitude',
  summary: 'Removes the weights whose product with the gradient of the loss is smallest.',
  paper: {
    title: 'SNIP: Single-shot Network Pruning based on Connection Sensitivity',
    authors: 'Lee, Ajanthan, Torr',
    venue: 'ICLR',
    year: 2019,
    arxiv: '1810.02340',
  },
  needs: ['calibration-data', 'gradients'],
  options: {
    samples: z.number().int().min(1).max(100_000).default(128).describe('examples that the gradient is taken on'),
    times: z
      .enum(['weight', 'nothing'])
      .default('weight')
      .describe('what the gradient is multiplied with: the weight, or nothing for |∂L/∂w| alone'),
  },
  prepare: ({ model, layers, options: { samples }, context }) =>
    weightGradients(
      model,
      layers.map(({ weight }) => weight),
      calibrationSet(context),
      { samples, labels: 'true' },
      context,
    ),
  score({ layer, weight, prepared, options: { times } }) {
    const { mean } = prepared.get(layer.weight)!
    return weight.map((value, i) => Math.abs(mean[i] * (times === 'weight' ? value : 1)))
  },
})
