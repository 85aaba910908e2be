import { binaryForm, signCodes, stochasticOption } from './family/binary-latents.ts'
import { defineWeightQuantizer } from './family/family.ts'

/**
 * Trains weights that are nothing but signs: ±1 without a scale, which batch normalization has to make up for. Latent
 * weights stay within [-1, 1]; at test time the deterministic signs are taken. Of a network that was not trained for it
 * little is left without retraining.
 */
export const binaryConnect = defineWeightQuantizer({
  name: 'binary-connect',
  summary: 'Trains weights that are +1 or -1, by their signs or drawn at random, without a scale.',
  paper: {
    title: 'BinaryConnect: Training Deep Neural Networks with Binary Weights during Propagations',
    authors: 'Courbariaux, Bengio, David',
    venue: 'NIPS',
    year: 2015,
    arxiv: '1511.00363',
  },
  granularity: 'tensor',
  // Section 2.2, equations 1 to 3: w_b = sign(w), or +1 with probability σ(w) = clip((w + 1) / 2, 0, 1).
  options: { stochastic: stochasticOption },
  quantize: signCodes,
  // Algorithm 1 and section 2.4: ∂C/∂w_b goes to w, which is clipped to [-1, 1].
  trained: binaryForm,
})
