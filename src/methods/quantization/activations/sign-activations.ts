import { binarizedNeuralNetworks } from '../../../paper.ts'
import { defineActivationQuantizer } from './family/family.ts'

/**
 * Layers read 1 or -1 by the sign of what stood in front of the ReLU, zero counting as positive; the gradient passes
 * where |x| <= 1 (equations 1 and 4 of Courbariaux et al. 2016). Zeros that a convolution pads with stay zeros, as in
 * the authors' code. The networks of the paper normalize a batch in front of each sign.
 */
export const signActivations = defineActivationQuantizer({
  name: 'sign-activations',
  summary: 'Lets layers read the signs of their inputs in the place of the ReLU.',
  paper: binarizedNeuralNetworks,
  options: {},
  activation: 'replaces',
  levels: () => 2,
  forward: ({ draft, x }) => draft.add('espalier.SignStraightThrough', [x]),
})
