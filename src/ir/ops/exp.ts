import { defineUnaryOperator } from '../families/elementwise.ts'
import { spread } from '../families/samples.ts'

export const exp = defineUnaryOperator({
  type: 'Exp',
  since: 13,
  summary: 'Takes the exponential of each element.',
  compute: () => Math.exp,
  derivative: ({ y, dy, emit }) => emit('Mul', [dy, y]),
  samples: [{ name: 'signs', inputs: [spread([2, 3])] }],
})
