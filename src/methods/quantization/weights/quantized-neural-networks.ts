import { z } from 'zod'
import { lowPrecisionWeightsAndActivations } from '../../../paper.ts'
import { largestMagnitude } from '../../../tensor/magnitudes.ts'
import { floorLog2, roundLog2 } from '../../../tensor/powers-of-two.ts'
import { bitsOption, defineWeightQuantizer, type LatentWeight, type QuantizedWeights } from './family/family.ts'
import { asNumber, largestSize, log2, straightThrough } from './family/latent-steps.ts'

/** Codes of a scale are integers of 16 bits: up to 2^14 as powers of two. */
const MOST_SHIFTS = 14

/**
 * Rounds weights so that products need no multiplier: to a fixed-point number whose range is a power of two, or to the
 * power of two that is nearest in the logarithm. Of 2^(k-1) codes a sign, one is zero in the latter; what is below half
 * of the smallest power is zero.
 *
 * Differs from the paper: its weights are trained within a fixed range; here the range is the smallest power of two,
 * and the largest of the powers the nearest one, that the largest weight asks for, in training those of the latent
 * weights in each step; gradients pass straight through, and nothing has to be clipped.
 */
export const quantizedNeuralNetworks = defineWeightQuantizer({
  name: 'quantized-neural-networks',
  summary: 'Rounds weights to fixed-point numbers, or to the nearest powers of two.',
  paper: lowPrecisionWeightsAndActivations,
  granularity: 'tensor',
  options: {
    bits: bitsOption(2, 8, 4),
    scheme: z.enum(['linear', 'logarithmic']).default('linear').describe("the paper's LinearQuant or its LogQuant"),
  },
  precision: 'bits',
  quantize(weights, { bits, scheme }) {
    const largest = largestMagnitude(weights)
    return scheme === 'linear' ? linear(weights, bits, largest) : logarithmic(weights, bits, largest)
  },
  trained: {
    forward: (weight) => (weight.options.scheme === 'linear' ? linearInGraph(weight) : logarithmicInGraph(weight)),
  },
})

/**
 * The largest weight counts as a power of two, which is in range, where its logarithm is a whole number but for
 * rounding.
 */
const NEARLY = 1e-6

function linearInGraph(weight: LatentWeight<{ readonly bits: number }>): string {
  const { draft, latent, literal, options } = weight
  const half = 2 ** (options.bits - 1)
  const exponent = draft.add('Ceil', [draft.add('Sub', [log2(weight, largestSize(weight)), literal(NEARLY)])])
  const scale = draft.add('Mul', [draft.add('Pow', [literal(2), exponent]), literal(1 / half)])
  const codes = draft.add('Round', [draft.add('Div', [latent, scale])])
  const clipped = draft.add('Clip', [codes, literal(-half), literal(half - 1)])
  return straightThrough(weight, draft.add('Mul', [clipped, scale]))
}

function logarithmicInGraph(weight: LatentWeight<{ readonly bits: number }>): string {
  const { draft, latent, literal, options } = weight
  const sizes = draft.add('Abs', [latent])
  const highest = draft.add('Round', [log2(weight, largestSize(weight))])
  const lowest = draft.add('Sub', [highest, literal(2 ** (options.bits - 1) - 2)])
  const exponents = draft.add('Max', [draft.add('Round', [log2(weight, sizes)]), lowest])
  const zeroBelow = draft.add('Pow', [literal(2), draft.add('Sub', [lowest, literal(1)])])
  const kept = asNumber(weight, draft.add('GreaterOrEqual', [sizes, zeroBelow]))
  const signs = draft.add('Mul', [draft.add('Sign', [latent]), kept])
  return straightThrough(weight, draft.add('Mul', [signs, draft.add('Pow', [literal(2), exponents])]))
}

/** LinearQuant(x) = Clip(round(x / step) · step, minV, maxV): [n] -> codes [n] of -2^(k-1) to 2^(k-1) - 1. */
function linear(weights: Float32Array, bits: number, largest: number): QuantizedWeights {
  const exponent = floorLog2(largest)
  const range = largest > 2 ** exponent ? exponent + 1 : exponent
  const half = 2 ** (bits - 1)
  const scale = 2 ** range / half
  return { codes: Int16Array.from(weights, (w) => Math.max(-half, Math.min(half - 1, Math.round(w / scale)))), scale }
}

/** LogQuant(x) = Clip(AP2(x), minV, maxV): [n] -> signed powers of two [n] over the smallest, or places among them. */
function logarithmic(weights: Float32Array, bits: number, largest: number): QuantizedWeights {
  const highest = roundLog2(largest)
  const shifts = 2 ** (bits - 1) - 2
  const lowest = highest - shifts
  const shift = (weight: number) => Math.max(0, roundLog2(weight) - lowest)
  const isZero = (weight: number) => Math.abs(weight) < 2 ** (lowest - 1)
  if (shifts <= MOST_SHIFTS) {
    const code = (weight: number) => (isZero(weight) ? 0 : Math.sign(weight) * 2 ** shift(weight))
    return { codes: Int16Array.from(weights, code), scale: 2 ** lowest }
  }
  const levels = Float32Array.from({ length: 2 * shifts + 3 }, (_, place) => {
    const rank = place - shifts - 1
    return rank === 0 ? 0 : Math.sign(rank) * 2 ** (lowest + Math.abs(rank) - 1)
  })
  const rank = (weight: number) => (isZero(weight) ? 0 : Math.sign(weight) * (shift(weight) + 1))
  return { codes: Uint16Array.from(weights, (weight) => rank(weight) + shifts + 1), levels }
}
