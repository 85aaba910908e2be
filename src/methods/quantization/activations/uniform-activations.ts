import { z } from 'zod'
import { UsageError } from '../../../errors.ts'
import { integerArithmeticOnlyInference } from '../../../paper.ts'
import { activationBits, defineActivationQuantizer, type ValueStatistics } from './family/family.ts'
import { gridParameters, onGrid, quantizeUniform, uniformGrid } from './family/uniform-grid.ts'

/** Shares of the observed range that `range: mse` tries. */
const SHARES = Array.from({ length: 100 }, (_, i) => (100 - i) / 100)

/** 2^bits evenly spaced levels whose range is taken from calibration data; zero is one of them. */
export const uniformActivations = defineActivationQuantizer({
  name: 'uniform-activations',
  summary: 'Lets layers read inputs of k bits, evenly spaced over a range that calibration data shows.',
  paper: integerArithmeticOnlyInference,
  options: {
    bits: activationBits(1, 8),
    symmetric: z.boolean().default(false).describe('levels -q to q, 2^bits - 1 of them; otherwise as the range lies'),
    range: z
      .enum(['min-max', 'percentile', 'mse'])
      .default('min-max')
      .describe('all that was seen, all but its tails, or the part of it with the least squared error'),
    percentile: z
      .number()
      .min(50)
      .max(100)
      .default(99.99)
      .describe('with range: percentile, the upper end; the lower mirrors it'),
  },
  activation: 'keeps',
  calibrates: true,
  levels: ({ bits, symmetric }) => 2 ** bits - (symmetric ? 1 : 0),
  start({ statistics, options: { bits, symmetric, range, percentile }, layer }) {
    if (symmetric && bits < 2)
      throw new UsageError(
        'symmetric-bits',
        `layer '${layer}' is to have symmetric levels of 1 bit, which is only zero`,
        {
          place: layer,
          hint: 'Set bits to 2 or more, symmetric to false, or choose sign-activations.',
        },
      )
    const { min, max } = statistics
    if (min === 0 && max === 0) return 'what it reads is 0 on all calibration examples'
    const [low, high] = range === 'percentile' ? tails(statistics, percentile) : [min, max]
    const share = range === 'mse' ? bestShare(statistics, bits, symmetric) : 1
    const grid = uniformGrid(low * share, high * share, bits, symmetric)
    return grid ? gridParameters(grid) : 'the range of what it reads is too small for a scale'
  },
  forward: quantizeUniform,
})

function tails({ sorted }: ValueStatistics, percentile: number): [number, number] {
  const skipped = Math.min(sorted.length - 1, Math.floor(sorted.length * (1 - percentile / 100)))
  return [sorted[skipped], sorted[sorted.length - 1 - skipped]]
}

/** The share of the range whose grid has the least squared error on the numbers that were kept. */
function bestShare({ min, max, sorted }: ValueStatistics, bits: number, symmetric: boolean): number {
  let [best, least] = [1, Infinity]
  for (const share of SHARES) {
    const grid = uniformGrid(min * share, max * share, bits, symmetric)
    if (!grid) continue
    let error = 0
    for (const x of sorted) error += (x - onGrid(x, grid)) ** 2
    if (error < least) [best, least] = [share, error]
  }
  return best
}
