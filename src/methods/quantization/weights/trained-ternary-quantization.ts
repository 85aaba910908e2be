import { z } from 'zod'
import { meanMagnitude } from '../../../tensor/magnitudes.ts'
import { int64 } from '../../../tensor/tensor.ts'
import { defineWeightQuantizer, type LatentWeight } from './family/family.ts'
import { asNumber, asScales, largestFirst, largestSize, straightThrough } from './family/latent-steps.ts'

const ownOptions = {
  threshold: z.number().min(0).lt(1).default(0.05).describe('weights of at most this share of the largest are zero'),
  sparsity: z
    .number()
    .min(0)
    .lt(1)
    .optional()
    .describe('share of the weights that are zero; the threshold is for layers where equal weights forbid it'),
}

interface Options {
  readonly threshold: number
  readonly sparsity?: number
}

/**
 * Trains weights of three values, -Wn, 0 and Wp, of which both are learned with the network: weights choose by the sign
 * and by a threshold. Both values start at the mean size of the weights that take them. The paper keeps the first and
 * the last layer in full precision: `exclude` leaves them.
 *
 * Differs from the paper: its equation 7 has the gradient of Wn without the sign that -Wn brings; here it is the
 * derivative, as in the authors' code. The paper divides the weights of a layer by the largest of them before, and the
 * authors' code, which does not either, starts both values at 1.
 */
export const trainedTernaryQuantization = defineWeightQuantizer({
  name: 'trained-ternary-quantization',
  summary: 'Trains weights that are zero or one of two learned values, a positive and a negative one.',
  paper: {
    title: 'Trained Ternary Quantization',
    authors: 'Zhu, Han, Mao, Dally',
    venue: 'ICLR',
    year: 2017,
    arxiv: '1612.01064',
  },
  granularity: 'tensor',
  codebooks: true,
  options: ownOptions,
  quantize: (weights, options) => inLevels(weights, options, meansOf(weights, options)),
  trained: {
    // Equation 8: the gradient of a latent weight is Wp, 1 or Wn times that of its value; equation 7: those of the
    // values are the sums over the weights that take them.
    forward(weight) {
      const { draft, latent, literal, options, parameter } = weight
      const positive = parameter('positive', (weights) => meansOf(weights, options).positive)
      const negative = parameter('negative', (weights) => meansOf(weights, options).negative)
      const limit = limitInGraph(weight)
      const above = asNumber(weight, draft.add('Greater', [latent, limit]))
      const below = asNumber(weight, draft.add('Less', [latent, draft.add('Neg', [limit])]))
      const ups = draft.add('Mul', [positive, above])
      const downs = draft.add('Mul', [negative, below])
      const between = draft.add('Sub', [literal(1), draft.add('Add', [above, below])])
      const slope = draft.add('Sum', [ups, downs, between])
      const nothing = draft.add('Mul', [above, literal(0)])
      return draft.add('Add', [straightThrough(weight, nothing, slope), draft.add('Sub', [ups, downs])])
    },
    freeze: (weights, own, options) =>
      inLevels(weights, options, { positive: own.get('positive')!, negative: own.get('negative')! }),
  },
})

/** Equation 9: Δ = t · max|w|, or what so many weights do not exceed, unless none exceeds it. */
function limitOf(weights: Float32Array, { threshold, sparsity }: Options): number {
  const sizes = weights.map(Math.abs)
  const top = sizes.reduce((most, size) => Math.max(most, size), 0)
  if (sparsity === undefined) return threshold * top
  const zeros = Math.round(sparsity * sizes.length)
  const limit = zeros === 0 ? 0 : sizes.sort()[Math.min(zeros, sizes.length - 1) - 1]
  return limit < top ? limit : threshold * top
}

function limitInGraph(weight: LatentWeight<Options>): string {
  const { draft, latent, literal, count, options } = weight
  const { threshold, sparsity } = options
  const top = largestSize(weight)
  const byShare = draft.add('Mul', [top, literal(threshold)])
  if (sparsity === undefined) return byShare
  const zeros = Math.round(sparsity * count)
  if (zeros === 0) return literal(0)
  const most = count - Math.min(zeros, count - 1) + 1
  const largest = largestFirst(weight, draft.add('Abs', [latent]), most)
  const limit = asScales(
    weight,
    draft.add('ReduceMin', [largest, draft.constant('columns', int64([1]))], { keepdims: 1 }),
  )
  return draft.add('Where', [draft.add('Less', [limit, top]), limit, byShare])
}

/** The mean size of the weights above the threshold of each sign; where one has none, that of the others. */
function meansOf(weights: Float32Array, options: Options) {
  const limit = limitOf(weights, options)
  const [above, below] = [weights.filter((weight) => weight > limit), weights.filter((weight) => weight < -limit)]
  return {
    positive: meanMagnitude(above.length > 0 ? above : below),
    negative: meanMagnitude(below.length > 0 ? below : above),
  }
}

/** Equation 6: [n] -> places [n] among -Wn, 0 and Wp. */
function inLevels(weights: Float32Array, options: Options, { positive, negative }: ReturnType<typeof meansOf>) {
  const limit = limitOf(weights, options)
  const codes = Uint16Array.from(weights, (weight) => (weight > limit ? 2 : weight < -limit ? 0 : 1))
  return { codes, levels: Float32Array.of(-negative, 0, positive) }
}
