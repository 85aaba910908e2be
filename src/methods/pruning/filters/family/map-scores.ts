/** What criteria that look at feature maps have in common: one pass over the data a round, and scores from statistics. */
import { z } from 'zod'
import { UnsupportedError } from '../../../../errors.ts'
import { cutForm } from '../../../../ir/cut-form.ts'
import { measureFeatureMaps, type ChannelSamples, type FeatureMapOptions } from '../../../feature-maps.ts'
import type { FiltersToScore, ScoresToPrepare } from './pruner.ts'

/** The options of a criterion that looks at feature maps. */
export const mapOptions = {
  samples: z
    .number()
    .int()
    .min(1)
    .max(1_000_000)
    .default(512)
    .describe('training examples that the maps are looked at on'),
}

/** The statistics of all layers of a round, by the layer's name. */
export type MapSamples = ReadonlyMap<string, ChannelSamples>

/** Runs the data through the model once, for all layers that are to be scored. @throws as `measureFeatureMaps` does. */
export function measureMaps(
  { model, layers, options, context }: ScoresToPrepare<{ readonly samples: number }>,
  what: Omit<FeatureMapOptions, 'samples'>,
): Promise<MapSamples> {
  return measureFeatureMaps(cutForm(model).model, layers, { ...what, samples: options.samples }, context)
}

/** One score a filter, from one a channel of the layer's map. */
export function mapScores(
  { layer, shape, outAxis, prepared }: FiltersToScore<unknown, MapSamples>,
  score: (samples: ChannelSamples) => Float64Array,
): Float64Array {
  const scores = score(prepared.get(layer.name)!)
  const filters = shape[outAxis]
  if (scores.length % filters !== 0)
    throw new UnsupportedError(
      'no-feature-map',
      `'${layer.name}' has ${filters} filters, but makes ${scores.length} channels`,
      {
        place: layer.name,
        hint: 'Exclude the layer, or choose a criterion that looks at weights only.',
      },
    )
  // The groups of a transposed convolution lie behind each other in its output, and beside each other in its weight.
  const result = new Float64Array(filters)
  for (const [channel, value] of scores.entries()) result[channel % filters] += value
  return result
}

/** The mean over the examples of a matrix [examples, channels]. */
export function meanOverExamples(values: Float32Array, { count, channels }: ChannelSamples): Float64Array {
  const means = new Float64Array(channels)
  for (let i = 0; i < values.length; i++) means[i % channels] += values[i] / count
  return means
}
