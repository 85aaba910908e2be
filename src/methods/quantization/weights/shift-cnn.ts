import { z } from 'zod'
import { largestMagnitude } from '../../../tensor/magnitudes.ts'
import { nearestAmongPowers } from '../../../tensor/powers-of-two.ts'
import { bitsOption, defineWeightQuantizer } from './family/family.ts'

/**
 * Writes each weight, relative to the largest, as a sum of N signed powers of two or zeros, each the nearest of a codebook
 * to what those before it leave: a product becomes N shifts and additions. A weight takes N · B bits.
 *
 * Differs from the authors' code: that makes what is left zero below 3/4 of a codebook's smallest power, where it is
 * nearer to this than to zero from one half on.
 */
export const shiftCnn = defineWeightQuantizer({
  name: 'shift-cnn',
  summary: 'Writes each weight as a sum of a few powers of two, found greedily, without retraining.',
  paper: {
    title: 'ShiftCNN: Generalized Low-Precision Architecture for Inference of Convolutional Neural Networks',
    authors: 'Gudovskiy, Rigazio',
    venue: 'arXiv',
    year: 2017,
    arxiv: '1706.02393',
  },
  granularity: 'tensor',
  options: {
    codebooks: z.number().int().min(1).max(4).default(2).describe('powers of two that a weight is the sum of'),
    bits: bitsOption(2, 4, 4).describe('bits of the place in one codebook'),
  },
  precision: 'codebooks',
  // C_n = {0, ±2^(-n+1), ..., ±2^(-n-⌊M/2⌋+2)}, M = 2^B - 1; r <- r - nearest of C_n to r: [n] -> codes [n].
  quantize(weights, { codebooks, bits }) {
    const powers = 2 ** (bits - 1) - 1
    const smallest = 2 - codebooks - powers
    const largest = largestMagnitude(weights)
    const codes = Int16Array.from(weights, (weight) => {
      let code = 0
      let rest = weight / largest
      for (let n = 1; n <= codebooks; n++) {
        const term = nearestAmongPowers(rest, 2 - n - powers, 1 - n)
        code += term / 2 ** smallest
        rest -= term
      }
      return code
    })
    return { codes, scale: largest * 2 ** smallest }
  },
})
