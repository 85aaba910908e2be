import { binarizedNeuralNetworks as paper } from '../../../paper.ts'
import { binaryForm, signCodes, stochasticOption } from './family/binary-latents.ts'
import { defineWeightQuantizer } from './family/family.ts'

/**
 * Trains the weights of a binarized network: ±1 as with `binary-connect`, of which this is the successor. What differs
 * are the inputs of the layers, which are signs too: a step of the recipe in front of this one inserts them.
 */
export const binarizedNeuralNetworks = defineWeightQuantizer({
  name: 'binarized-neural-networks',
  summary: 'Trains weights that are +1 or -1, for layers whose inputs are signs too.',
  paper,
  granularity: 'tensor',
  // Section 1.1, equations 1 to 3: sign(w), or +1 with probability σ(w) = clip((w + 1) / 2, 0, 1).
  options: { stochastic: stochasticOption },
  quantize: signCodes,
  // Algorithm 1 and equation 4: the gradient passes where |w| ≤ 1, to which weights are clipped.
  trained: binaryForm,
})
