import { defineUnaryOperator } from '../families/elementwise.ts'
import { spread } from '../families/samples.ts'

export const sin = defineUnaryOperator({
  type: 'Sin',
  since: 7,
  summary: 'Takes the sine of each element.',
  compute: () => Math.sin,
  derivative: ({ x, dy, emit }) => emit('Mul', [dy, emit('Cos', [x])]),
  samples: [{ name: 'signs', inputs: [spread([2, 3], -4, 4)] }],
})
