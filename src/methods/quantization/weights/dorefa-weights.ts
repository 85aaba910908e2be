import { z } from 'zod'
import { dorefaNet } from '../../../paper.ts'
import { largestMagnitude, meanMagnitude } from '../../../tensor/magnitudes.ts'
import { signCodes } from './family/binary-latents.ts'
import { bitsOption, defineWeightQuantizer, type LatentWeight } from './family/family.ts'
import { detached, largestSize, signOf, straightThrough } from './family/latent-steps.ts'

/**
 * Squeezes weights through tanh into [-1, 1] and rounds them to equally spaced values from end to end, of which zero is
 * none; with one bit to plus or minus the mean absolute weight.
 *
 * Differs from the paper: its networks are trained with weights in [-1, 1], whatever size they had. Here a scale, the
 * one of least squared error, puts them back where they were, in training that of the latent weights in each step;
 * `rescale: false` is the paper's formula, for networks in which batch normalization follows each layer. The paper
 * keeps the first and the last layer in full precision: `exclude` leaves them.
 */
export const dorefaWeights = defineWeightQuantizer({
  name: 'dorefa-weights',
  summary: 'Squeezes weights by tanh and rounds them to equally spaced values without a zero.',
  paper: dorefaNet,
  granularity: 'tensor',
  options: {
    bits: bitsOption(1, 8, 4),
    rescale: z.boolean().default(true).describe('fit a scale, as weights that were not trained for it need'),
  },
  precision: 'bits',
  quantize(weights, { bits, rescale }) {
    // Section 2.3: sign(w) E|w|.
    if (bits === 1) return { ...signCodes(weights), scale: meanMagnitude(weights) }
    // Section 2.3: 2 quantize_k(tanh(w) / (2 max|tanh(w)|) + 1/2) - 1, times 2^k - 1 for whole numbers: [n] -> odd codes
    // [n].
    const most = 2 ** bits - 1
    const largest = Math.tanh(largestMagnitude(weights))
    const codes = Int16Array.from(
      weights,
      (weight) => 2 * Math.round(most * (Math.tanh(weight) / (2 * largest) + 0.5)) - most,
    )
    return { codes, scale: rescale ? leastSquares(weights, codes) : 1 / most }
  },
  trained: {
    forward(weight) {
      const { draft, latent, options, reduce } = weight
      if (options.bits > 1) return roundedTanh(weight)
      const scale = reduce('Mean', draft.add('Abs', [latent]))
      return straightThrough(weight, draft.add('Mul', [scale, signOf(weight)]))
    },
  },
})

/**
 * The same: the gradient passes the rounding as it is, and tanh, its maximum and the division by their derivatives.
 */
function roundedTanh(weight: LatentWeight<{ readonly bits: number; readonly rescale: boolean }>): string {
  const { draft, latent, literal, options, reduce } = weight
  const most = 2 ** options.bits - 1
  const squeezed = draft.add('Tanh', [latent])
  const share = draft.add('Div', [squeezed, draft.add('Mul', [largestSize(weight, squeezed), literal(2)])])
  const places = draft.add('Mul', [draft.add('Add', [share, literal(0.5)]), literal(most)])
  const rounded = draft.add('espalier.RoundStraightThrough', [places])
  const codes = draft.add('Sub', [draft.add('Mul', [rounded, literal(2)]), literal(most)])
  if (!options.rescale) return draft.add('Mul', [codes, literal(1 / most)])
  const products = reduce('Sum', draft.add('Mul', [latent, codes]))
  const scale = draft.add('Div', [products, reduce('Sum', draft.add('Mul', [codes, codes]))])
  return draft.add('Mul', [codes, detached(weight, scale)])
}

/** w·q / q·q. */
function leastSquares(weights: Float32Array, codes: Int16Array): number {
  let [product, squares] = [0, 0]
  for (const [i, code] of codes.entries()) {
    product += weights[i] * code
    squares += code * code
  }
  return product / squares
}
