import { z } from 'zod'
import { lowPrecisionWeightsAndActivations } from '../../../paper.ts'
import { float32, type Tensor } from '../../../tensor/tensor.ts'
import { floorLog2, roundLog2 } from '../../../tensor/powers-of-two.ts'
import { activationBits, defineActivationQuantizer } from './family/family.ts'
import { gridParameters, quantizeUniform } from './family/uniform-grid.ts'

/** The exponent of the smallest power that is used: half of it is a normal float32 too. */
const SMALLEST_POWER = -120

/**
 * LinearQuant(x) = Clip(round(x / step) · step, minV, maxV) with a step that is a power of two, or LogQuant(x) =
 * Clip(AP2(x), minV, maxV) with AP2(x) = sign(x) · 2^round(log2 |x|), so that products with inputs are shifts (section
 * 3 of Hubara et al.). The gradient passes within [minV, maxV]. Inputs that are never negative use all codes for
 * positive values; others have as many a sign.
 *
 * Differs from the paper: there the range is fixed beforehand; here it is the smallest power of two, and the largest of
 * the powers is the nearest one, that calibration data asks for. Of the codes of LogQuant one is zero, for what is
 * below half of the smallest power.
 */
export const qnnActivations = defineActivationQuantizer({
  name: 'qnn-activations',
  summary: 'Lets layers read inputs that are fixed-point numbers, or the nearest powers of two.',
  paper: lowPrecisionWeightsAndActivations,
  options: {
    bits: activationBits(2, 4),
    scheme: z.enum(['linear', 'logarithmic']).default('linear').describe("the paper's LinearQuant or its LogQuant"),
  },
  activation: 'keeps',
  calibrates: true,
  start({ statistics: { min, max }, options: { bits, scheme } }) {
    const largest = Math.max(-min, max)
    if (largest === 0) return 'what it reads is 0 on all calibration examples'
    if (largest < 2 ** -60) return 'the range of what it reads is too small for a scale'
    return scheme === 'linear' ? fixedPoint(bits, largest, min < 0) : powers(bits, largest, min < 0)
  },
  forward: (form) => {
    const { draft, x, parameters } = form
    if (!parameters.levels) return quantizeUniform(form)
    return draft.add('espalier.StepFunction', [x, parameters.thresholds, parameters.levels])
  },
})

type Parameters = Readonly<Record<string, Tensor>>

function fixedPoint(bits: number, largest: number, signed: boolean): Parameters {
  const exponent = floorLog2(largest)
  const range = largest > 2 ** exponent ? exponent + 1 : exponent
  const codes = 2 ** (signed ? bits - 1 : bits)
  return gridParameters({ scale: 2 ** range / codes, zeroPoint: 0, lowest: signed ? -codes : 0, highest: codes - 1 })
}

/**
 * Zero and the powers below the largest. Thresholds lie in the middle of exponents and at half of the smallest power;
 * one more with the same level on both sides lies at the lower end of the range, from where on the gradient passes.
 */
function powers(bits: number, largest: number, signed: boolean): Parameters {
  const highest = roundLog2(largest)
  const count = Math.min(2 ** (signed ? bits - 1 : bits) - 1, highest - SMALLEST_POWER + 1)
  const levels = Array.from({ length: count }, (_, i) => 2 ** (highest - count + 1 + i))
  const thresholds = levels.map((level, i) => (i === 0 ? level / 2 : level * Math.SQRT1_2))
  const mirrored = (values: readonly number[]) => values.map((value) => -value).toReversed()
  const all = signed ? [...mirrored(levels), 0, ...levels] : [0, ...levels]
  return {
    levels: float32([all[0], ...all]),
    thresholds: float32([all[0], ...(signed ? mirrored(thresholds) : []), ...thresholds]),
  }
}
