import { z } from 'zod'
import { deepCompression } from '../../paper.ts'
import { clusterNumbers, initializations } from './cluster.ts'
import { defineWeightSharer } from './family.ts'

/**
 * Clusters the weights of a layer by k-means and keeps one value for each cluster, then trains these values: a shared
 * value's gradient is the sum of the gradients of its weights.
 */
export const kMeans = defineWeightSharer({
  name: 'k-means',
  summary: 'Lets the weights of a layer share a few values found by k-means, and trains the shared values.',
  paper: deepCompression,
  options: {
    initialization: z.enum(initializations).default('linear').describe('where the centroids start (section 3.2)'),
  },
  // Section 3.1: argmin over the clusters of the sum of |w - c_i|^2: [n] -> [count].
  share: ({ values, count, options, random }) =>
    clusterNumbers(values, count, { initialization: options.initialization, random }).centroids,
})
