import { z } from 'zod'
import { bitsOption, defineWeightQuantizer } from './family.ts'

/**
 * Squeezes weights through tanh into [-1, 1] and rounds them to equally spaced values from end to end, of which zero is
 * none; with one bit to plus or minus the mean absolute weight.
 *
 * Differs from the paper: its networks are trained with weights in [-1, 1], whatever size they had. Without training a
 * scale, the one of least squared error, puts them back where they were; `rescale: false` is the paper's formula.
 */
export const dorefaWeights = defineWeightQuantizer({
  name: 'dorefa-weights',
  summary: 'Squeezes weights by tanh and rounds them to equally spaced values without a zero.',
  paper: {
    title: 'DoReFa-Net: Training Low Bitwidth Convolutional Neural Networks with Low Bitwidth Gradients',
    authors: 'Zhou, Wu, Ni, Zhou, Wen, Zou',
    venue: 'arXiv',
    year: 2016,
    arxiv: '1606.06160',
  },
  granularity: 'tensor',
  options: {
    bits: bitsOption(1, 8, 4),
    rescale: z.boolean().default(true).describe('fit a scale, as weights that were not trained for it need'),
  },
  precision: 'bits',
  quantize(weights, { bits, rescale }) {
    // Equation 7: sign(w) E|w|.
    if (bits === 1) {
      const scale = weights.reduce((sum, weight) => sum + Math.abs(weight), 0) / weights.length
      return { codes: Int16Array.from(weights, (weight) => (weight < 0 ? -1 : 1)), scale }
    }
    // Equation 9: 2 quantize_k(tanh(w) / (2 max|tanh(w)|) + 1/2) - 1, times 2^k - 1 for whole numbers: [n] -> odd codes [n].
    const most = 2 ** bits - 1
    const largest = Math.tanh(weights.reduce((top, weight) => Math.max(top, Math.abs(weight)), 0))
    const codes = Int16Array.from(
      weights,
      (weight) => 2 * Math.round(most * (Math.tanh(weight) / (2 * largest) + 0.5)) - most,
    )
    return { codes, scale: rescale ? leastSquares(weights, codes) : 1 / most }
  },
})

/** w·q / q·q. */
function leastSquares(weights: Float32Array, codes: Int16Array): number {
  let [product, squares] = [0, 0]
  for (const [i, code] of codes.entries()) {
    product += weights[i] * code
    squares += code * code
  }
  return product / squares
}
