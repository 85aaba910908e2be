import { defineUnaryOperator } from '../families/elementwise.ts'
import { spread } from '../families/samples.ts'

export const sqrt = defineUnaryOperator({
  type: 'Sqrt',
  since: 13,
  summary: 'Takes the square root of each element.',
  compute: () => Math.sqrt,
  derivative: ({ y, dy, emit, literal }) => emit('Div', [emit('Mul', [dy, literal(0.5, dy)]), y]),
  samples: [{ name: 'positive', inputs: [spread([2, 3], 0.1, 4)] }],
})
