import { defineUnaryOperator } from '../families/elementwise.ts'
import { spread } from '../families/samples.ts'

export const log = defineUnaryOperator({
  type: 'Log',
  since: 13,
  summary: 'Takes the natural logarithm of each element.',
  compute: () => Math.log,
  derivative: ({ x, dy, emit }) => emit('Div', [dy, x]),
  samples: [{ name: 'positive', inputs: [spread([2, 3], 0.2, 4)] }],
})
