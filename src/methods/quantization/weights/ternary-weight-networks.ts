import { z } from 'zod'
import { ternaryWeightNetworks as paper } from '../../../paper.ts'
import { meanMagnitude } from '../../../tensor/magnitudes.ts'
import { float32, int64 } from '../../../tensor/tensor.ts'
import { defineWeightQuantizer, type LatentWeight } from './family/family.ts'
import { asNumber, asScales, largestFirst, straightThrough } from './family/latent-steps.ts'

/**
 * Weights below a threshold become zero and the others ±α, their mean absolute value. The threshold is the paper's
 * rule of thumb, 0.7 of the mean absolute weight, or the one with the least squared error, found by sorting. In training
 * both are those of the latent weights in each step, to which gradients go as they are.
 *
 * The rule is that of 2016, as in the authors' code, with one threshold a layer: 2/3 were best for uniform weights, 3/4
 * for Gaussian ones. The third version of the paper (2022) takes 3/4 and one threshold a filter: `granularity: channel`.
 */
export const ternaryWeightNetworks = defineWeightQuantizer({
  name: 'ternary-weight-networks',
  summary: 'Makes weights zero below a threshold and plus or minus one scale above it.',
  paper,
  granularity: 'tensor',
  options: {
    threshold: z
      .enum(['approximate', 'exact'])
      .default('approximate')
      .describe("0.7 of the mean absolute weight, the paper's rule of thumb, or the least squared error"),
  },
  // Equations 3 and 5: ±1 where |w| > Δ, α the mean of these |w|: [n] -> codes [n] of -1, 0 and 1.
  quantize(weights, { threshold }) {
    const limit = threshold === 'exact' ? bestThreshold(weights) : 0.7 * meanMagnitude(weights)
    const codes = Int16Array.from(weights, (weight) => (Math.abs(weight) > limit ? Math.sign(weight) : 0))
    return { codes, scale: meanMagnitude(weights.filter((_, i) => codes[i] !== 0)) }
  },
  trained: {
    forward(weight) {
      const { draft, latent, literal, options, reduce } = weight
      const sizes = draft.add('Abs', [latent])
      const kept =
        options.threshold === 'exact'
          ? draft.add('GreaterOrEqual', [sizes, leastKept(weight, sizes)])
          : draft.add('Greater', [sizes, draft.add('Mul', [reduce('Mean', sizes), literal(0.7)])])
      const above = asNumber(weight, kept)
      const few = draft.add('Max', [reduce('Sum', above), literal(1)])
      const scale = draft.add('Div', [reduce('Sum', draft.add('Mul', [sizes, above])), few])
      const codes = draft.add('Mul', [draft.add('Sign', [latent]), above])
      return straightThrough(weight, draft.add('Mul', [scale, codes]))
    },
  },
})

/**
 * The same as `bestThreshold` in the graph: the smallest |w| that is kept, one a scale. Equal weights are kept
 * together.
 */
function leastKept(weight: LatentWeight<unknown>, sizes: string): string {
  const { draft, count } = weight
  const sorted = largestFirst(weight, sizes)
  const sums = draft.add('CumSum', [sorted, draft.constant('axis', int64([1], []))])
  const above = draft.constant('above', float32(Float32Array.from({ length: count }, (_, k) => k + 1)))
  const gains = draft.add('Div', [draft.add('Mul', [sums, sums]), above])
  const best = draft.add('ArgMax', [gains], { axis: 1, keepdims: 1 })
  return asScales(weight, draft.add('GatherElements', [sorted, best], { axis: 1 }))
}

/**
 * Equation 6: Δ* is the one with the largest (Σ |w|)² / k over the k weights above it. Equal weights end on one side.
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
