import { defineUnaryOperator } from '../families/elementwise.ts'
import { spread } from '../families/samples.ts'

export const floor = defineUnaryOperator({
  type: 'Floor',
  since: 13,
  summary: 'Rounds each element down.',
  compute: () => Math.floor,
  differentiable: 'none',
  samples: [{ name: 'signs', inputs: [spread([2, 3], -9, 9)] }],
})
