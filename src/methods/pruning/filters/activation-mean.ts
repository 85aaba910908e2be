import { resourceEfficientInference } from '../../../paper.ts'
import { defineFilterPruner } from './family/family.ts'
import { mapOptions, mapScores, meanOverExamples, measureMaps } from './family/map-scores.ts'

/**
 * Removes the filters with the smallest mean activation.
 *
 * Differs from the paper: absolute values are averaged, which is the same behind a ReLU, so that elsewhere values of both
 * signs do not cancel.
 */
export const activationMean = defineFilterPruner({
  name: 'activation-mean',
  summary: 'Removes the filters whose outputs are smallest on average over the data.',
  paper: resourceEfficientInference,
  needs: ['calibration-data'],
  options: mapOptions,
  // Section 2.3 divides the scores of a layer by their L2 norm.
  scale: 'l2',
  prepare: (input) =>
    measureMaps(input, {
      reduce: ({ draft, map, places }) => [draft.add('ReduceMean', [draft.add('Abs', [map]), places], { keepdims: 0 })],
    }),
  // Section 2.2: Θ_MA(a) = Σ a_i / |a|, averaged over the examples.
  score: (filters) => mapScores(filters, (samples) => meanOverExamples(samples.statistics[0], samples)),
})
