import { bitsOption, defineWeightQuantizer } from './family.ts'
import { floorLog2, nearestPower } from './powers-of-two.ts'

/**
 * Rounds each weight to the nearest power of two, or zero, within the exponents that b bits can tell apart below the
 * largest weight: every value other than zero is a power of two exactly, in all layers.
 *
 * Differs from the paper: all weights are rounded at once, without the retraining of those that still wait for theirs.
 */
export const incrementalNetworkQuantization = defineWeightQuantizer({
  name: 'incremental-network-quantization',
  summary: 'Rounds weights to zero and to the powers of two that a few bits can tell apart.',
  paper: {
    title: 'Incremental Network Quantization: Towards Lossless CNNs with Low-Precision Weights',
    authors: 'Zhou, Yao, Guo, Xu, Chen',
    venue: 'ICLR',
    year: 2017,
    arxiv: '1702.03044',
  },
  granularity: 'tensor',
  options: { bits: bitsOption(2, 5, 5) },
  precision: 'bits',
  // Equations 2 to 4: n1 = ⌊log2(4s/3)⌋ with s = max|w|, n2 = n1 + 1 - 2^(b-2), and β sgn(w) for (α+β)/2 ≤ |w| < 3β/2
  // with adjacent α < β of {0, 2^n2, ..., 2^n1}: [n] -> codes [n], signed powers of two over 2^n2.
  quantize(weights, { bits }) {
    const largest = weights.reduce((top, weight) => Math.max(top, Math.abs(weight)), 0)
    const highest = floorLog2((4 * largest) / 3)
    const lowest = highest + 1 - 2 ** (bits - 2)
    const codes = Int16Array.from(weights, (weight) => {
      const power = nearestPower(weight, lowest, highest)
      return power === undefined ? 0 : Math.sign(weight) * 2 ** (power - lowest)
    })
    return { codes, scale: 2 ** lowest }
  },
})
