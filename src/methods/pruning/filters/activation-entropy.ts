import { z } from 'zod'
import type { ChannelSamples } from '../../feature-maps.ts'
import { defineFilterPruner } from './family/family.ts'
import { mapOptions, mapScores, measureMaps } from './family/map-scores.ts'

/**
 * Removes the filters whose average output says least about the example: its distribution over the data has little entropy.
 *
 * The bins are of equal width between a channel's smallest and largest value, so the scale of a channel does not count.
 */
export const activationEntropy = defineFilterPruner({
  name: 'activation-entropy',
  summary: 'Removes the filters whose average outputs have the smallest entropy over the data.',
  paper: {
    title: 'An Entropy-based Pruning Method for CNN Compression',
    authors: 'Luo, Wu',
    venue: 'arXiv',
    year: 2017,
    arxiv: '1706.05791',
  },
  needs: ['calibration-data'],
  options: {
    ...mapOptions,
    bins: z.number().int().min(2).max(10_000).default(100).describe('bins of the histogram of each channel'),
  },
  scale: 'none',
  // Section 3.2: global average pooling turns each map into one number.
  prepare: (input) =>
    measureMaps(input, {
      reduce: ({ draft, map, places }) => [draft.add('ReduceMean', [map, places], { keepdims: 0 })],
    }),
  score: (filters) => mapScores(filters, (samples) => entropies(samples, filters.options.bins)),
})

/** Section 3: H_j = -Σ_i p_i log p_i over the bins of channel j, in nats. */
function entropies({ count, channels, statistics: [means] }: ChannelSamples, bins: number): Float64Array {
  return Float64Array.from({ length: channels }, (_, channel) => {
    const values = Float64Array.from({ length: count }, (_, n) => means[n * channels + channel])
    const least = values.reduce((a, b) => Math.min(a, b))
    const width = (values.reduce((a, b) => Math.max(a, b)) - least) / bins
    const counts = new Float64Array(bins)
    for (const value of values) counts[width > 0 ? Math.min(bins - 1, Math.floor((value - least) / width)) : 0]++
    return counts.reduce((sum, n) => (n === 0 ? sum : sum - (n / count) * Math.log(n / count)), 0)
  })
}
