import { defineUnaryOperator } from '../families/elementwise.ts'
import { spread } from '../families/samples.ts'

export const reciprocal = defineUnaryOperator({
  type: 'Reciprocal',
  since: 13,
  summary: 'Takes one over each element.',
  compute: () => (x) => 1 / x,
  derivative: ({ y, dy, emit }) => emit('Neg', [emit('Mul', [dy, emit('Mul', [y, y])])]),
  samples: [{ name: 'positive', inputs: [spread([2, 3], 0.3, 3)] }],
})
