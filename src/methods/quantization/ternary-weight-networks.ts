import { z } from 'zod'
import { defineWeightQuantizer } from './family.ts'

/**
 * Weights below a threshold become zero and the others ±α, their mean absolute value. The threshold is the paper's rule,
 * 0.7 of the mean absolute weight, or the one with the least squared error, found by sorting.
 */
export const ternaryWeightNetworks = defineWeightQuantizer({
  name: 'ternary-weight-networks',
  summary: 'Makes weights zero below a threshold and plus or minus one scale above it.',
  paper: {
    title: 'Ternary Weight Networks',
    authors: 'Li, Zhang, Liu',
    venue: 'NIPS Workshop on Efficient Methods for Deep Neural Networks',
    year: 2016,
    arxiv: '1605.04711',
  },
  granularity: 'tensor',
  options: {
    threshold: z
      .enum(['approximate', 'exact'])
      .default('approximate')
      .describe("0.7 of the mean absolute weight, as in the paper's equation 6, or the least squared error"),
  },
  // Equations 3 to 6: ±1 where |w| > Δ, α the mean of these |w|: [n] -> codes [n] of -1, 0 and 1.
  quantize(weights, { threshold }) {
    const limit = threshold === 'exact' ? bestThreshold(weights) : 0.7 * mean(weights.map(Math.abs))
    const codes = Int16Array.from(weights, (weight) => (Math.abs(weight) > limit ? Math.sign(weight) : 0))
    return { codes, scale: mean(weights.filter((_, i) => codes[i] !== 0).map(Math.abs)) }
  },
})

function mean(values: Float32Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

/**
 * Equation 5: Δ* is the one with the largest (Σ |w|)² / k over the k weights above it. Equal weights end on one side.
 */
function bestThreshold(weights: Float32Array): number {
  const sizes = weights.map(Math.abs).sort()
  let [sum, best, limit] = [0, 0, 0]
  for (let above = 1; above <= sizes.length; above++) {
    const at = sizes.length - above
    sum += sizes[at]
    const next = at > 0 ? sizes[at - 1] : -1
    const gain = (sum * sum) / above
    if (next === sizes[at] || gain <= best) continue
    best = gain
    limit = next
  }
  return limit
}
