import { ternaryNeuralNetworksPaper } from '../../../paper.ts'
import { defineActivationQuantizer } from './family/family.ts'

/**
 * -1, 0 and 1 in the place of an activation, as the paper's teacher has them: while it is trained, a neuron fires with
 * the probability |tanh x| (section 2). The result has the most probable of the three values: a step with thresholds of
 * ±atanh(1/2) in front of which batch normalization can be folded, so that each neuron has two thresholds of its own.
 *
 * What comes out is the paper's teacher: `ternary-neural-networks` is its second stage, which searches the two
 * thresholds of a student's neuron together with those of its weights.
 */
export const ternaryActivations = defineActivationQuantizer({
  name: 'ternary-activations',
  summary: 'Lets neurons put out -1, 0 or 1, by chance while they are trained and the most probable of them then.',
  paper: ternaryNeuralNetworksPaper,
  options: {},
  activation: 'replaces',
  levels: () => 3,
  forward: ({ draft, x }) => draft.add('espalier.StochasticTernary', [x]),
})
