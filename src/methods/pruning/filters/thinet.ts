import { defineFilterPruner } from './family/family.ts'
import { nextLayerOptions, selectByNextLayer, type NextLayer } from './family/next-layer.ts'

/**
 * Removes the channels that the next layer misses least: one after the other, the one with which the outputs of the layers
 * that read them lose least, all those that went before included.
 *
 * Differs from the paper: the errors are expectations over all places of the examples, from second moments, not sums over
 * sampled places; the layers of a round are chosen on the same model, not one after the other with training between; and
 * least squares give all weights of the next layer anew, where section 3.3 has one factor a channel.
 */
export const thinet = defineFilterPruner({
  name: 'thinet',
  summary: 'Removes the channels without which the next layer computes nearly what it did, chosen greedily on data.',
  paper: {
    title: 'ThiNet: A Filter Level Pruning Method for Deep Neural Network Compression',
    authors: 'Luo, Wu, Lin',
    venue: 'ICCV',
    year: 2017,
    arxiv: '1707.06342',
  },
  needs: ['calibration-data'],
  options: nextLayerOptions,
  defaults: { refit: {} },
  select: selectByNextLayer(leastMissed),
})

/**
 * Algorithm 1: T ← T ∪ {argmin_i Σ (Σ_{j ∈ T ∪ {i}} x̂_j)²}, until so many are in T; the channels in ascending order, and of
 * equal ones the first.
 */
export function leastMissed({ size, products }: NextLayer, count: number): number[] {
  // What the loss grows by when a channel goes as well: E‖z_i‖² + 2 Σ_{j∈T} E⟨z_i, z_j⟩.
  const growth = Float64Array.from({ length: size }, (_, i) => products[i * (size + 1)])
  const removed = new Set<number>()
  while (removed.size < count) {
    let best = -1
    for (let i = 0; i < size; i++) if (!removed.has(i) && (best < 0 || growth[i] < growth[best])) best = i
    removed.add(best)
    for (let i = 0; i < size; i++) growth[i] += 2 * products[best * size + i]
  }
  return [...removed].toSorted((a, b) => a - b)
}
