import { defineUnaryOperator } from '../families/elementwise.ts'
import { spread } from '../families/samples.ts'

export const tanh = defineUnaryOperator({
  type: 'Tanh',
  since: 13,
  summary: 'Takes the hyperbolic tangent of each element.',
  compute: () => Math.tanh,
  derivative: ({ y, dy, emit, literal }) => emit('Mul', [dy, emit('Sub', [literal(1, y), emit('Mul', [y, y])])]),
  samples: [{ name: 'signs', inputs: [spread([2, 3], -3, 3)] }],
})
