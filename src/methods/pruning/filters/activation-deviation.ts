import { resourceEfficientInference } from '../../../paper.ts'
import { defineFilterPruner } from './family/family.ts'
import { mapOptions, mapScores, meanOverExamples, measureMaps } from './family/map-scores.ts'

/**
 * Removes the filters whose outputs vary least.
 *
 * Differs from the paper: the deviation is that over all examples and places at once, because the map of one example has
 * none where it has one place only, as behind a dense layer.
 */
export const activationDeviation = defineFilterPruner({
  name: 'activation-deviation',
  summary: 'Removes the filters whose outputs have the smallest standard deviation over the data.',
  paper: resourceEfficientInference,
  needs: ['calibration-data'],
  options: mapOptions,
  // Section 2.3 divides the scores of a layer by their L2 norm.
  scale: 'l2',
  prepare: (input) =>
    measureMaps(input, {
      reduce({ draft, map, places }) {
        const mean = draft.add('ReduceMean', [map, places], { keepdims: 1 })
        const apart = draft.add('Sub', [map, mean])
        const variance = draft.add('ReduceMean', [draft.add('Mul', [apart, apart]), places], { keepdims: 0 })
        return [draft.add('Squeeze', [mean, places]), variance]
      },
    }),
  // Section 2.2: Θ_MAstd(a) = √(Σ (a_i - μ)² / |a|). The variance is that within the examples and that between them.
  score: (filters) =>
    mapScores(filters, (samples) => {
      const [means, variances] = samples.statistics
      const mean = meanOverExamples(means, samples)
      const between = meanOverExamples(
        means.map((own, i) => (own - mean[i % samples.channels]) ** 2),
        samples,
      )
      return meanOverExamples(variances, samples).map((within, channel) => Math.sqrt(within + between[channel]))
    }),
})
