import { defineUnaryOperator } from '../families/elementwise.ts'
import { spread } from '../families/samples.ts'

export const ceil = defineUnaryOperator({
  type: 'Ceil',
  since: 13,
  summary: 'Rounds each element up.',
  compute: () => Math.ceil,
  differentiable: 'none',
  samples: [{ name: 'signs', inputs: [spread([2, 3], -9, 9)] }],
})
