import { UsageError } from '../../../errors.ts'
import type { ChannelSamples } from '../../feature-maps.ts'
import { defineFilterPruner } from './family/family.ts'
import { mapOptions, mapScores, measureMaps } from './family/map-scores.ts'

/**
 * Removes the filters that say least about the class: little of the variance of their strongest response lies between
 * the classes. It needs labels.
 *
 * Differs from the paper: every layer is scored by its own maps, where the paper scores the last convolution and follows
 * its dependencies back through deconvolution; and the classifier behind it stays.
 */
export const fireScore = defineFilterPruner({
  name: 'fire-score',
  summary: 'Removes the filters whose strongest responses tell the classes apart least.',
  paper: {
    title: 'Deep LDA-Pruned Nets for Efficient Facial Gender Classification',
    authors: 'Tian, Arbel, Clark',
    venue: 'CVPR Workshops',
    year: 2017,
    arxiv: '1704.06305',
  },
  needs: ['calibration-data'],
  options: mapOptions,
  scale: 'none',
  // The fire score of an example is the maximum of the map.
  prepare: (input) =>
    measureMaps(input, {
      labels: true,
      reduce: ({ draft, map, places }) => [draft.add('ReduceMax', [map, places], { keepdims: 0 })],
    }),
  score: (filters) => mapScores(filters, (samples) => betweenClasses(samples, filters.layer.name)),
})

/** The intra-class correlation S_b / (S_b + S_w), in [0, 1]; 0 for a channel that does not vary. */
function betweenClasses({ count, channels, statistics: [fires], labels }: ChannelSamples, layer: string): Float64Array {
  if (new Set(labels).size < 2)
    throw new UsageError('one-class', `the ${count} examples that '${layer}' is scored on are all of one class`, {
      place: layer,
      hint: 'Look at more examples, or at data of several classes.',
    })
  const sizes = new Map<number, number>()
  for (const label of labels) sizes.set(label, (sizes.get(label) ?? 0) + 1)
  return Float64Array.from({ length: channels }, (_, channel) => {
    const centres = new Map<number, number>()
    let mean = 0
    for (let n = 0; n < count; n++) {
      const fire = fires[n * channels + channel]
      mean += fire / count
      centres.set(labels[n], (centres.get(labels[n]) ?? 0) + fire / sizes.get(labels[n])!)
    }
    let [between, within] = [0, 0]
    for (let n = 0; n < count; n++) {
      const centre = centres.get(labels[n])!
      between += (centre - mean) ** 2
      within += (fires[n * channels + channel] - centre) ** 2
    }
    return between + within === 0 ? 0 : between / (between + within)
  })
}
