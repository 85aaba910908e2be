import { fromNumbers, toNumbers } from '../../tensor/elements.ts'
import { createTensor, float32 } from '../../tensor/tensor.ts'
import { spread } from '../families/samples.ts'
import { ESPALIER_DOMAIN } from '../model.ts'
import { defineOperator } from '../operator.ts'
import { stepFunction } from './step-function.ts'

/** Above this |tanh x| > 1/2. */
const LIMIT = Math.atanh(0.5)

/**
 * The neuron of Alemdar et al. 2017 (arXiv 1609.00222), section 2: in a training step it fires with the probability
 * |tanh x|, 1 or -1 by the sign of x, and is 0 otherwise; everywhere else it gives the most probable of the three, so
 * that the same model gives the same results. The gradient is that of tanh.
 */
export const stochasticTernary = defineOperator({
  type: 'StochasticTernary',
  domain: ESPALIER_DOMAIN,
  since: 1,
  summary:
    'Gives -1, 0 or 1, by chance in training and the most probable of them otherwise, with the gradient of tanh.',
  infer: ({ inputs: [x] }) => [x],
  evaluate: ({ inputs: [x] }) => {
    const [limit] = toNumbers(fromNumbers(x!.dtype, [], [LIMIT]))
    const fire = (value: number) => (value > limit ? 1 : value > -limit ? 0 : -1)
    return [fromNumbers(x!.dtype, x!.shape, toNumbers(x!).map(fire))]
  },
  gradient: ({ inputs: [x], outputGradients: [dy], emit, literal }) => {
    const activation = emit('Tanh', [x])
    return [emit('Mul', [dy, emit('Sub', [literal(1, x), emit('Mul', [activation, activation])])])]
  },
  body: (context) => {
    const { inputs, literal, dtype } = context
    const type = dtype(inputs[0]!)
    const thresholds = literal(fromNumbers(type, [2], [-LIMIT, LIMIT]))
    const levels = literal(fromNumbers(type, [3], [-1, 0, 1]))
    return stepFunction.body!({ ...context, inputs: [inputs[0], thresholds, levels] })
  },
  samples: [
    { name: 'on both sides of the limits', inputs: [float32([-3, -0.56, -0.54, 0, 0.54, 0.56, 3])], gradientOf: [] },
    { name: 'matrix', inputs: [spread([3, 4])], gradientOf: [] },
    { name: 'none', inputs: [createTensor('float32', [0], new Float32Array(0))], gradientOf: [] },
  ],
})
