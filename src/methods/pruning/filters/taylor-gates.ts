import { defineFilterPruner } from './family/family.ts'
import { mapOptions, mapScores, meanOverExamples, measureMaps } from './family/map-scores.ts'

/**
 * Removes the filters whose gates matter least: each map is thought to be multiplied by a gate of one, and its importance
 * is the square of the derivative of the loss by the gate. It needs labels. The scores of layers can be compared as they are.
 *
 * Differs from the paper: the gate stands behind the activation, and the squares are of single examples, not of batches.
 */
export const taylorGates = defineFilterPruner({
  name: 'taylor-gates',
  summary: 'Removes the filters whose gates have the smallest squared derivative of the loss.',
  paper: {
    title: 'Importance Estimation for Neural Network Pruning',
    authors: 'Molchanov, Mallya, Tyree, Frosio, Kautz',
    venue: 'CVPR',
    year: 2019,
    arxiv: '1906.10771',
  },
  needs: ['calibration-data', 'gradients'],
  options: mapOptions,
  scale: 'none',
  prepare: (input) =>
    measureMaps(input, {
      gradients: true,
      reduce({ draft, map, gradient, places }) {
        const product = draft.add('Mul', [map, gradient])
        return [draft.add('ReduceSum', [product, places], { keepdims: 0 })]
      },
    }),
  // Equation 8 with a gate g = 1: I = (∂C/∂g g)², and ∂C/∂g = Σ_m ∂C/∂z_m z_m.
  score: (filters) =>
    mapScores(filters, (samples) => {
      const [derivatives] = samples.statistics
      return meanOverExamples(
        derivatives.map((derivative) => derivative ** 2),
        samples,
      )
    }),
})
