import { z } from 'zod'
import { largestMagnitude } from '../../../tensor/magnitudes.ts'
import { floorLog2, nearestAmongPowers } from '../../../tensor/powers-of-two.ts'
import { createRandom } from '../../../tensor/random.ts'
import { finishOption } from '../../retraining.ts'
import { bitsOption, defineWeightQuantizer } from './family/family.ts'
import { trainInPortions } from './family/portions.ts'

/** Sections 3.1, of ResNets, and 3.3, by bits: the share of the weights that is quantized after each step. */
const published: Readonly<Record<number, readonly number[]>> = {
  5: [0.5, 0.75, 0.875, 1],
  4: [0.3, 0.5, 0.8, 0.9, 0.95, 1],
  3: [0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 0.95, 1],
  2: [0.2, 0.4, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.975, 1],
}

const portions = z
  .array(z.number().positive().max(1))
  .min(1)
  .max(100)
  .refine((shares) => shares.at(-1) === 1 && shares.every((share, i) => i === 0 || share > shares[i - 1]), {
    message: 'shares ascend to 1',
  })
  .optional()
  .describe('share of the weights that is quantized after each step; default: as published, by bits')

/**
 * Makes each weight zero or a power of two, within the exponents that b bits can tell apart below the largest weight:
 * every value other than zero is a power of two exactly, in all layers. With data, the largest weights (or some by
 * chance) are quantized first and stay; the others are trained to make up for it; and so on until none is left. The
 * exponents of a layer are those of its weights before training. Without data all weights are quantized at once.
 *
 * Differs from the paper: its algorithm 1 tells the exponents anew in each step, which changes none as long as no weight
 * outgrows the largest; one that does becomes the largest power here. After the last portion biases and normalization
 * are trained once more, unless `finish` is false; and `exponents: least-squares` is ours. Where the largest weight of a
 * layer is far out, few bits leave the others no power near them: exponents by least squares clip that one, and keep the
 * others apart from zero.
 */
export const incrementalNetworkQuantization = defineWeightQuantizer({
  name: 'incremental-network-quantization',
  summary: 'Rounds weights to zero and to powers of two, the largest first, while the others learn to make up for it.',
  paper: {
    title: 'Incremental Network Quantization: Towards Lossless CNNs with Low-Precision Weights',
    authors: 'Zhou, Yao, Guo, Xu, Chen',
    venue: 'ICLR',
    year: 2017,
    arxiv: '1702.03044',
  },
  granularity: 'tensor',
  options: {
    bits: bitsOption(2, 5, 5),
    portions,
    partition: z
      .enum(['magnitude', 'random'])
      .default('magnitude')
      .describe('which weights are quantized first: the largest, or some by chance'),
    exponents: z
      .enum(['largest', 'least-squares'])
      .default('largest')
      .describe('exponents told by the largest weight, or those that change the weights least'),
    finish: finishOption,
  },
  whole: ['finish'],
  precision: 'bits',
  quantize(weights, { bits, exponents }) {
    const { scale, round } = powersOf(weights, bits, exponents)
    return { codes: Int16Array.from(weights, (weight) => round(weight) / scale), scale }
  },
  training({ model, layers, options: { finish }, settings, context }) {
    const chance = createRandom(context.seed)
    const inPortions = layers.map(({ layer, options }) => {
      const { bits, partition, exponents, portions: own = published[bits] } = options
      const random = chance.fork(layer.weight)
      const score = (values: Float32Array) => values.map(partition === 'random' ? () => random.uniform() : Math.abs)
      return {
        layer,
        options,
        portions: own,
        score,
        grid: (before: Float32Array) => powersOf(before, bits, exponents).round,
      }
    })
    return trainInPortions(model, inPortions, { settings, finish, context })
  },
})

/**
 * Section 2.1, equations 2 to 4: n1 = ⌊log2(4s/3)⌋ with s = max|w|, n2 = n1 + 1 - 2^(b-2), and β sgn(w) for
 * (α+β)/2 ≤ |w| < 3β/2 with adjacent α < β of {0, 2^n2, ..., 2^n1}; larger weights than those become ±2^n1. The scale is
 * 2^n2. By least squares n1 is the one at that place or below with the smallest Σ (w - ŵ)²; of weights that are quantized
 * already, it changes none.
 */
function powersOf(weights: Float32Array, bits: number, exponents: 'largest' | 'least-squares') {
  const largest = largestMagnitude(weights)
  const highest = floorLog2((4 * largest) / 3)
  const grids = Array.from({ length: exponents === 'largest' ? 1 : LOWER + 1 }, (_, lower) => {
    const top = highest - lower
    const lowest = top + 1 - 2 ** (bits - 2)
    return { scale: 2 ** lowest, round: (weight: number) => nearestAmongPowers(weight, lowest, top) }
  })
  if (grids.length === 1) return grids[0]
  const errors = grids.map(({ round }) => weights.reduce((sum, weight) => sum + (weight - round(weight)) ** 2, 0))
  return grids[errors.indexOf(Math.min(...errors))]
}

/** How far below the largest weight the exponents are searched. */
const LOWER = 8
