import { defineUnaryOperator } from '../families/elementwise.ts'
import { spread } from '../families/samples.ts'

export const mish = defineUnaryOperator({
  type: 'Mish',
  since: 18,
  summary: 'Multiplies each element by tanh(ln(1 + exp(x))).',
  compute: () => (x) => x * Math.tanh(Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)))),
  /** With t = tanh(softplus(x)): dy (t + x (1 - t^2) sigmoid(x)). */
  derivative: ({ x, dy, emit, literal }) => {
    const t = emit('Tanh', [emit('Softplus', [x])])
    const steepness = emit('Sub', [literal(1, t), emit('Mul', [t, t])])
    const slope = emit('Mul', [emit('Mul', [x, steepness]), emit('Sigmoid', [x])])
    return emit('Mul', [dy, emit('Add', [t, slope])])
  },
  samples: [{ name: 'signs', inputs: [spread([2, 5], -5, 5)] }],
})
