import { dorefaNet } from '../../../paper.ts'
import { activationBits, defineActivationQuantizer } from './family/family.ts'
import { gridParameters, quantizeUniform } from './family/uniform-grid.ts'

/**
 * quantize_k(clip(x, 0, 1)) with quantize_k(r) = round((2^k - 1) r) / (2^k - 1), sections 2.2 and 2.4: 2^k values from
 * 0 to 1 with nothing to calibrate or learn. The gradient passes where x lies in [0, 1].
 */
export const dorefaActivations = defineActivationQuantizer({
  name: 'dorefa-activations',
  summary: 'Lets layers read inputs clipped to [0, 1] and rounded to k bits, in the place of the ReLU.',
  paper: dorefaNet,
  options: { bits: activationBits(1, 2) },
  activation: 'replaces',
  start: ({ options: { bits } }) => {
    const highest = 2 ** bits - 1
    return gridParameters({ scale: 1 / highest, zeroPoint: 0, lowest: 0, highest })
  },
  forward: quantizeUniform,
})
