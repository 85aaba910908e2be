import { z } from 'zod'
import { calibrationSet } from '../../calibration.ts'
import { weightGradients } from '../../weight-gradients.ts'
import { defineWeightPruner } from './family/family.ts'

/**
 * LeCun et al. 1990: at a minimum of the loss, and with a Hessian taken for diagonal (equation 3), removing a weight costs
 * its saliency s_k = h_kk w_k² / 2. The recipe of section 2.2 removes some, trains on and begins anew: several `rounds`.
 *
 * Differs from the paper: h_kk is the diagonal of the Fisher information, the mean of squared gradients with labels drawn
 * from the network's own answers, which for cross entropy is the Gauss-Newton matrix that equation 9 approximates the
 * Hessian by. The paper's second back-propagation (equations 6 to 8) neglects what units of a layer have in common, and
 * of a weight that a kernel uses at many places what these places have in common; this does not.
 */
export const optimalBrainDamage = defineWeightPruner({
  name: 'optimal-brain-damage',
  summary: 'Removes the weights whose removal costs least by the diagonal of the second derivatives of the loss.',
  paper: {
    title: 'Optimal Brain Damage',
    authors: 'LeCun, Denker, Solla',
    venue: 'NIPS',
    year: 1989,
  },
  needs: ['calibration-data', 'gradients'],
  options: {
    samples: z.number().int().min(1).max(100_000).default(256).describe('examples that the derivatives are taken on'),
    labels: z
      .enum(['drawn', 'true'])
      .default('drawn')
      .describe("drawn from the network's answers, or the true ones: the empirical Fisher information"),
  },
  prepare: ({ model, layers, options: { samples, labels }, context }) =>
    weightGradients(
      model,
      layers.map(({ weight }) => weight),
      calibrationSet(context),
      { samples, labels },
      context,
    ),
  score({ layer, weight, prepared }) {
    const { square } = prepared.get(layer.weight)!
    return weight.map((value, i) => (square[i] * value * value) / 2)
  },
})
