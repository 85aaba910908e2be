import { xnorNet } from '../../../paper.ts'
import { meanMagnitude } from '../../../tensor/magnitudes.ts'
import { signCodes } from './family/binary-latents.ts'
import { defineWeightQuantizer } from './family/family.ts'
import { passWithin, signOf, straightThrough } from './family/latent-steps.ts'

/**
 * Keeps the sign of each weight and one scale a filter, the mean absolute weight: the best two values ±α there are. In
 * training the scale is that of the latent weights in each step. The paper keeps the first and the last layer in full
 * precision: `exclude` leaves them.
 *
 * Differs from the paper: it prints the derivative of the sign as r · 1(|r| ≤ 1), a slip; here it is 1(|r| ≤ 1), as in
 * the work that it refers to. The authors' code moreover centres and clips the latent weights, and multiplies their
 * gradients by about n, which the paper does not say.
 */
export const binaryWeightNetworks = defineWeightQuantizer({
  name: 'binary-weight-networks',
  summary: 'Keeps of each weight the sign, and of each filter the mean absolute weight as its scale.',
  paper: xnorNet,
  granularity: 'channel',
  options: {},
  // Section 3.1, equations 2 to 6: B* = sign(W), α* = ‖W‖₁ / n minimize ‖W - αB‖²: [n] -> codes [n] of ±1.
  quantize: (weights) => ({ ...signCodes(weights), scale: meanMagnitude(weights) }),
  // Section 3.1: ∂C/∂W_i = ∂C/∂W̃_i (1/n + α ∂sign(W_i)/∂W_i), where ∂sign(w)/∂w is 1 for |w| ≤ 1. The exact derivative
  // of α would collect the gradients of the whole filter; the paper takes that of the weight itself.
  trained: {
    forward(weight) {
      const { draft, latent, count, literal, reduce } = weight
      const scale = reduce('Mean', draft.add('Abs', [latent]))
      const passed = draft.add('Mul', [scale, passWithin(weight, 1)])
      const slope = draft.add('Add', [passed, literal(1 / count)])
      return straightThrough(weight, draft.add('Mul', [scale, signOf(weight)]), slope)
    },
  },
})
