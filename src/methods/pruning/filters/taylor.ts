import { z } from 'zod'
import { macsOf } from '../../../ir/cost.ts'
import { cutForm } from '../../../ir/cut-form.ts'
import { resourceEfficientInference } from '../../../paper.ts'
import { defineFilterPruner } from './family/family.ts'
import { mapOptions, mapScores, meanOverExamples, measureMaps } from './family/map-scores.ts'

/**
 * Removes the filters whose removal changes the loss least, to first order: a map times the derivative of the loss by it.
 * It needs labels. With macsWeight, scope: global prefers filters that cost much work.
 */
export const taylor = defineFilterPruner({
  name: 'taylor',
  summary: 'Removes the filters whose removal changes the loss least, by a Taylor expansion of first order.',
  paper: resourceEfficientInference,
  needs: ['calibration-data', 'gradients'],
  options: {
    ...mapOptions,
    macsWeight: z
      .number()
      .min(0)
      .max(1e6)
      .default(0)
      .describe('subtracted from the normalised score, for each million of multiply-accumulates that a filter costs'),
  },
  // The scores are normalised below, before the work is subtracted.
  scale: 'none',
  async prepare(input) {
    const maps = await measureMaps(input, {
      gradients: true,
      reduce({ draft, map, gradient, places }) {
        const product = draft.add('Mul', [map, gradient])
        return [draft.add('Abs', [draft.add('ReduceMean', [product, places], { keepdims: 0 })])]
      },
    })
    return { maps, macs: macsOf(cutForm(input.model).model) }
  },
  score(filters) {
    const { prepared, layer, options } = filters
    // Equation 8: Θ_TE(z) = |Σ_m ∂C/∂z_m z_m / M|, averaged over the examples.
    const terms = mapScores({ ...filters, prepared: prepared.maps }, (samples) =>
      meanOverExamples(samples.statistics[0], samples),
    )
    // Section 2.3: divided by the L2 norm of the layer's scores; section 2.4: less λ Θ^flops, what a filter costs.
    const norm = Math.sqrt(terms.reduce((sum, term) => sum + term * term, 0)) || 1
    const cost = prepared.macs.get(layer.name)! / terms.length / 1e6
    return terms.map((term) => term / norm - options.macsWeight * cost)
  },
})
