import { alternateDirections, alternatingOptions, valuesOf, withValues } from '../../admm.ts'
import { partialTrainingSettings, retrains } from '../../retraining.ts'
import { defineWeightPruner } from './family/family.ts'
import { retrainMasked } from '../rounds.ts'

/**
 * Pruning by the alternating direction method of multipliers: minimise f(W) + Σ g(Z) subject to W = Z, where g is zero for
 * weights that are sparse as demanded and infinite for others. In turns, W learns with a pull towards Z − U,
 * Z is the sparse point nearest to W + U, and U sums up how far they are apart. What is not in the sparse
 * point then goes, and the rest is retrained. In several rounds it is the progressive form (Ye et al. 2019, 1903.09769):
 * each starts from what the round before has left, of which nothing comes back.
 *
 * Differs from the paper: sgd or what the recipe says in place of Adam; the pull ρ may grow from iteration to iteration; and
 * beside one number a layer there may be one for all layers, or whole blocks, of which the largest sums of squares stay.
 */
export const admmPruning = defineWeightPruner({
  name: 'admm-pruning',
  summary: 'Trains with a pull towards the nearest sparse weights, in turns with finding these, and then prunes.',
  paper: {
    title: 'A Systematic DNN Weight Pruning Framework using Alternating Direction Method of Multipliers',
    authors: 'Zhang, Ye, Zhang, Tang, Wen, Fardad, Wang',
    venue: 'ECCV',
    year: 2018,
    arxiv: '1804.03294',
  },
  needs: ['training-data', 'gradients'],
  options: {
    ...alternatingOptions({ growth: 1, iterations: 4 }),
    regularize: partialTrainingSettings
      .optional()
      .describe('training settings of each training with a pull; default: as the recipe says'),
  },
  async train({ model, layers, options, context, round, project }) {
    const { rho, growth, dual, iterations, regularize = {} } = options
    retrains(regularize, context)
    const names = layers.map(({ weight }) => weight)
    return alternateDirections({
      model,
      names,
      rho,
      growth,
      dual,
      iterations,
      project: async (values) => valuesOf(await project(withValues(model, values)), names),
      train: (current, pull, iteration) => {
        const label = `pull ${round}.${iteration}`
        return retrainMasked(current, new Map(), regularize, context, label, { penalties: [pull] })
      },
    })
  },
  // The nearest point with so many zeros keeps the largest squares, of sets of weights the largest sums of them.
  score: ({ weight }) => weight.map((value) => value * value),
})
