import { defineFilterPruner } from './family/family.ts'
import { firstToVanish, type Quadratic } from './family/lasso.ts'
import { nextLayerOptions, selectByNextLayer, type NextLayer } from './family/next-layer.ts'

/**
 * Removes the channels whose factors a LASSO regression of the next layer's outputs sets to zero, and gives that layer new
 * weights by least squares.
 *
 * Differs from the paper: expectations are over all places of the examples, from second moments, not over sampled places;
 * and the layers of a round are chosen on the same model, so that the regression aims at what the layer computes there.
 */
export const channelPruning = defineFilterPruner({
  name: 'channel-pruning',
  summary:
    "Removes the channels that a LASSO regression of the next layer's outputs can do without, and refits that layer.",
  paper: {
    title: 'Channel Pruning for Accelerating Very Deep Neural Networks',
    authors: 'He, Zhang, Sun',
    venue: 'ICCV',
    year: 2017,
    arxiv: '1707.06168',
  },
  needs: ['calibration-data'],
  options: nextLayerOptions,
  defaults: { refit: {} },
  select: selectByNextLayer(unwanted),
})

/**
 * Equation 2 with W fixed: min_β ½ E‖Y − Σ β_i X_i W_iᵀ‖² + λ ‖β‖₁ subject to ‖W_i‖_F = 1, with Y = Σ X_i W_iᵀ for the W as it
 * is, which β_i = ‖W_i‖_F gives exactly. As in section 3.1 it is solved for growing λ, and the least squares for W are
 * solved once, in the end.
 */
function unwanted(next: NextLayer, count: number): number[] {
  return firstToVanish(regressionOf(next), count, next.squares.map(Math.sqrt))
}

/** The moments of that regression: A_ij = E⟨X_i W_iᵀ, X_j W_jᵀ⟩ and b_i = E⟨X_i W_iᵀ, Y⟩ with ‖W_i‖_F = 1. */
export function regressionOf({ size, products, squares }: NextLayer): Quadratic {
  const matrix = new Float64Array(size ** 2)
  const linear = new Float64Array(size)
  const inverses = squares.map((square) => (square > 0 ? 1 / Math.sqrt(square) : 0))
  for (let i = 0; i < size; i++)
    for (let j = 0; j < size; j++) {
      const product = products[i * size + j] * inverses[i]
      matrix[i * size + j] = product * inverses[j]
      linear[i] += product
    }
  return { size, matrix, linear }
}
