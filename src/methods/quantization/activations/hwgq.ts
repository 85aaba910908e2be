import { z } from 'zod'
import { float32 } from '../../../tensor/tensor.ts'
import { halfWaveLevels } from './gaussian-levels.ts'
import { activationBits, defineActivationQuantizer, type ValueStatistics } from './family/family.ts'

/**
 * The ReLU as a step function of 2^bits levels: the ones of least squared error where what stands in front of it is
 * Gaussian, as it is behind a batch normalization (section 4). The backward pass takes the slope of another function
 * that is near the ReLU, in the training of this step; one in a later step, or of the exported model, takes the clipped
 * one, for nothing in standard nodes says another.
 *
 * Differs from the paper: there, batch normalization has no scale and shift of its own, and all layers share the
 * quantizer of the unit Gaussian. `normalize: false` is that. By default levels and thresholds are stretched to how far
 * the positive values reach on calibration data, so that a scale that was learned, a shift, or the maximum of a pooling
 * in between leaves the quantizer where values are; a batch normalization without them gives what the paper has.
 */
export const hwgq = defineActivationQuantizer({
  name: 'hwgq',
  summary: 'Puts a step function in the place of the ReLU, with the best levels for half a Gaussian.',
  paper: {
    title: 'Deep Learning with Low Precision by Half-wave Gaussian Quantization',
    authors: 'Cai, He, Sun, Vasconcelos',
    venue: 'CVPR',
    year: 2017,
    arxiv: '1702.00953',
  },
  options: {
    bits: activationBits(1, 2),
    levels: z
      .enum(['uniform', 'optimal'])
      .default('uniform')
      .describe('multiples of a step, or wherever levels serve best'),
    backward: z
      .enum(['clipped', 'vanilla', 'log-tailed'])
      .default('clipped')
      .describe(
        'the slope in the training of this step: 1 up to the highest level, 1 for all that is positive, or falling ' +
          'above it; in later steps it is clipped',
      ),
    normalize: z
      .boolean()
      .default(true)
      .describe('whether levels are stretched to the positive values on calibration data'),
  },
  activation: 'replaces',
  calibrates: true,
  start({ statistics, options: { bits, levels: spacing, normalize } }) {
    const positive = positiveRms(statistics)
    if (positive === 0) return 'what its ReLU reads is never positive on calibration data'
    // Positive values of the unit Gaussian have a mean square of 1.
    const scale = normalize ? positive : 1
    const { levels, thresholds } = halfWaveLevels(2 ** bits - 1, spacing)
    const step = Math.fround(levels[1] * scale)
    const stored = levels.map((level, i) => Math.fround(spacing === 'uniform' ? i * step : level * scale))
    return {
      thresholds: float32(Float32Array.from(thresholds, (_, i) => (i === 0 ? 0 : (stored[i] + stored[i + 1]) / 2))),
      levels: float32(Float32Array.from(stored)),
      tail: float32([scale], []),
    }
  },
  forward: ({ draft, x, parameters: { thresholds, levels, tail }, options: { backward } }) =>
    draft.add('espalier.StepFunction', [x, thresholds, levels, tail], { gradient: backward }),
})

/** The root of the mean square of what is above 0. */
function positiveRms({ sorted }: ValueStatistics): number {
  const positive = sorted.filter((value) => value > 0)
  if (positive.length === 0) return 0
  return Math.sqrt(positive.reduce((sum, value) => sum + value * value, 0) / positive.length)
}
