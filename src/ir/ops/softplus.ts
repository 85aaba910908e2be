import { defineUnaryOperator } from '../families/elementwise.ts'
import { spread } from '../families/samples.ts'

export const softplus = defineUnaryOperator({
  type: 'Softplus',
  since: 1,
  summary: 'Maps each element to ln(1 + exp(x)), without overflow.',
  compute: () => (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
  derivative: ({ x, dy, emit }) => emit('Mul', [dy, emit('Sigmoid', [x])]),
  samples: [{ name: 'signs', inputs: [spread([2, 5], -8, 8)] }],
})
