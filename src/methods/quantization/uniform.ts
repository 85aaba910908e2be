import { z } from 'zod'
import { bitsOption, defineWeightQuantizer, type ScaledCodes } from './family.ts'
import { fitScale } from './fit-scale.ts'

/** Shares of the full range that are tried as its ends, where the squared error decides. */
const SHARES = Array.from({ length: 41 }, (_, i) => 1 - i / 50)

/** Values on which shares of the range are compared where there are more. */
const SAMPLE = 1 << 16

/**
 * Rounds each weight to the nearest of equally spaced values. Symmetric codes go from -(2^(k-1) - 1) to 2^(k-1) - 1
 * around zero; asymmetric ones from 0 to 2^k - 1 with a zero point, so that zero is one of the values. The range is that
 * of the weights, or the one of least squared error, beyond which values are clipped.
 *
 * Clipping lowers the error of the weights, and not always that of the network: the pretrained ResNet-20 keeps, of 91.5 %
 * on 1,000 images, 90.4 % with 4 bits over the whole range and 88.9 % clipped, with a zero point 90.4 % and 91.4 %.
 */
export const uniform = defineWeightQuantizer({
  name: 'uniform',
  summary: 'Rounds weights to equally spaced values, symmetric around zero or over the range that they have.',
  paper: {
    title: 'Quantizing Deep Convolutional Networks for Efficient Inference: A Whitepaper',
    authors: 'Krishnamoorthi',
    venue: 'arXiv',
    year: 2018,
    arxiv: '1806.08342',
  },
  granularity: 'channel',
  options: {
    bits: bitsOption(2, 8, 4),
    symmetric: z.boolean().default(true).describe('the same range on both sides of zero, and no zero point'),
    range: z
      .enum(['min-max', 'mse'])
      .default('min-max')
      .describe('the range of the weights, or clip where that makes the squared error least'),
  },
  precision: 'bits',
  quantize: (weights, { bits, symmetric, range }) =>
    symmetric ? roundSymmetric(weights, bits, range === 'mse') : roundAsymmetric(weights, bits, range === 'mse'),
})

/** Section 2.2, with one code less on the negative side: code = clip(round(w / Δ)). */
function roundSymmetric(weights: Float32Array, bits: number, clip: boolean): ScaledCodes {
  const most = 2 ** (bits - 1) - 1
  const nearest = (value: number) => Math.max(-most, Math.min(most, Math.round(value)))
  const scale = clip
    ? fitScale(weights, nearest, most)
    : weights.reduce((top, weight) => Math.max(top, Math.abs(weight)), 0) / most
  return { codes: Int16Array.from(weights, (weight) => nearest(weight / scale)), scale }
}

/** Section 2.1: code = clip(round(w / Δ) + z) over a range that has zero in it. */
function roundAsymmetric(weights: Float32Array, bits: number, clip: boolean): ScaledCodes {
  const most = 2 ** bits - 1
  const low = weights.reduce((least, weight) => Math.min(least, weight), 0)
  const high = weights.reduce((top, weight) => Math.max(top, weight), 0)
  const grid = (share: number) => {
    const scale = (share * (high - low)) / most
    const zeroPoint = Math.round((-share * low) / scale)
    return { scale, zeroPoint, code: (w: number) => Math.max(0, Math.min(most, Math.round(w / scale) + zeroPoint)) }
  }
  const every = Math.ceil(weights.length / SAMPLE)
  const error = ({ scale, zeroPoint, code }: ReturnType<typeof grid>) => {
    let sum = 0
    for (let i = 0; i < weights.length; i += every) sum += ((code(weights[i]) - zeroPoint) * scale - weights[i]) ** 2
    return sum
  }
  let best = grid(1)
  if (clip) for (const other of SHARES.map(grid)) if (error(other) < error(best)) best = other
  const { scale, zeroPoint } = best
  return { codes: Int16Array.from(weights, best.code), scale, zeroPoint }
}
