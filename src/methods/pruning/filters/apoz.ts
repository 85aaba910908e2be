import { float32 } from '../../../tensor/tensor.ts'
import { defineFilterPruner } from './family/family.ts'
import { mapOptions, mapScores, meanOverExamples, measureMaps } from './family/map-scores.ts'

/**
 * Removes the filters that are silent most often: APoZ is the average percentage of zeros of what comes out of the ReLU.
 *
 * Differs from the paper: the ratio says how many filters go, where the paper takes those whose APoZ lies more than one
 * standard deviation above the mean of the layer; and the examples are training, not validation, data. Where no ReLU stands
 * behind a layer, what a ReLU would make zero counts.
 */
export const apoz = defineFilterPruner({
  name: 'apoz',
  summary: 'Removes the filters whose outputs are zero most often after the activation.',
  paper: {
    title: 'Network Trimming: A Data-Driven Neuron Pruning Approach towards Efficient Deep Architectures',
    authors: 'Hu, Peng, Tai, Tang',
    venue: 'arXiv',
    year: 2016,
    arxiv: '1607.03250',
  },
  needs: ['calibration-data'],
  options: mapOptions,
  scale: 'none',
  prepare: (input) =>
    measureMaps(input, {
      reduce({ draft, map, places }) {
        const silent = draft.add('LessOrEqual', [map, draft.constant('zero', float32([0], []))])
        return [draft.add('ReduceMean', [draft.add('Cast', [silent], { to: 1 }), places], { keepdims: 0 })]
      },
    }),
  // Equation 1: APoZ_c = Σ_n Σ_m 1(O_c,m(n) = 0) / (N M); of its complement the larger is kept.
  score: (filters) =>
    mapScores(filters, (samples) => meanOverExamples(samples.statistics[0], samples).map((zeros) => 1 - zeros)),
})
