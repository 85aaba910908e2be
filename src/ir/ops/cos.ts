import { defineUnaryOperator } from '../families/elementwise.ts'
import { spread } from '../families/samples.ts'

export const cos = defineUnaryOperator({
  type: 'Cos',
  since: 7,
  summary: 'Takes the cosine of each element.',
  compute: () => Math.cos,
  derivative: ({ x, dy, emit }) => emit('Neg', [emit('Mul', [dy, emit('Sin', [x])])]),
  samples: [{ name: 'signs', inputs: [spread([2, 3], -4, 4)] }],
})
