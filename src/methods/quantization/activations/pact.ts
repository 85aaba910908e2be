import { z } from 'zod'
import { fromNumbers } from '../../../tensor/elements.ts'
import { float32 } from '../../../tensor/tensor.ts'
import { activationBits, defineActivationQuantizer } from './family/family.ts'

/** Clipping levels are kept above this, so that a step never is 0. */
const LEAST = 2 ** -20

/**
 * The ReLU clipped at a level alpha that is trained (equation 1) and rounded to 2^bits - 1 steps of it (equation 2).
 * Alpha gets the gradient of what is clipped (equation 3), and a penalty on its square keeps the steps small
 * (section 4). The result has the learned alpha in a Clip and the step in codes of eight bits.
 *
 * Differs from the paper: alpha starts from calibration data and not from one large number for all layers, 10 in its
 * figure 2, since what is quantized here is usually a trained network. The penalty weighs in the paper what the decay of
 * weights weighs (section 4.2), in its ResNets on ImageNet the default here; `decay` is set apart from that.
 */
export const pact = defineActivationQuantizer({
  name: 'pact',
  summary: 'Clips activations at a level that is trained with the network, and rounds them to k bits below it.',
  paper: {
    title: 'PACT: Parameterized Clipping Activation for Quantized Neural Networks',
    authors: 'Choi, Wang, Venkataramani, Chuang, Srinivasan, Gopalakrishnan',
    venue: 'arXiv',
    year: 2018,
    arxiv: '1805.06085',
  },
  options: {
    bits: activationBits(2, 4),
    percentile: z
      .number()
      .min(50)
      .max(100)
      .default(99.9)
      .describe('where the clipping level starts, among the values on calibration data'),
    decay: z
      .number()
      .min(0)
      .max(1)
      .default(1e-4)
      .describe('weight of the penalty, half the square of a clipping level'),
  },
  activation: 'replaces',
  calibrates: true,
  trained: ['alpha'],
  start({ statistics: { sorted, max }, options: { percentile } }) {
    if (max <= LEAST) return 'what it reads is never positive on calibration data'
    const place = Math.min(sorted.length - 1, Math.floor((sorted.length * percentile) / 100))
    const alpha = sorted[place] > LEAST ? sorted[place] : max
    return { alpha: float32([alpha], []), zeroPoint: fromNumbers('uint8', [], [0]) }
  },
  forward({ draft, x, parameters, options: { bits }, literal }) {
    const alpha = draft.add('espalier.ClipPassThrough', [parameters.alpha, literal(LEAST)])
    const clipped = draft.add('Clip', [x, literal(0), alpha])
    const step = draft.add('Div', [alpha, literal(2 ** bits - 1)])
    return draft.add('espalier.FakeQuantize', [clipped, step, parameters.zeroPoint])
  },
  penalty: ({ draft, parameters: { alpha }, options: { decay }, literal }) =>
    draft.add('Mul', [draft.add('Mul', [alpha, alpha]), literal(decay / 2)]),
})
