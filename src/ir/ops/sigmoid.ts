import { defineUnaryOperator } from '../families/elementwise.ts'
import { spread } from '../families/samples.ts'

export const sigmoid = defineUnaryOperator({
  type: 'Sigmoid',
  since: 13,
  summary: 'Maps each element to 1 / (1 + exp(-x)).',
  compute: () => (x) => 1 / (1 + Math.exp(-x)),
  derivative: ({ y, dy, emit, literal }) => emit('Mul', [dy, emit('Mul', [y, emit('Sub', [literal(1, y), y])])]),
  samples: [{ name: 'signs', inputs: [spread([2, 3], -6, 6)] }],
})
