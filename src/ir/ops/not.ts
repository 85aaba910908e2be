import { defineUnaryOperator } from '../families/elementwise.ts'
import { truths } from '../families/samples.ts'

export const not = defineUnaryOperator({
  type: 'Not',
  since: 1,
  summary: 'Tells where a truth value is false.',
  compute: () => (x) => 1 - x,
  differentiable: 'none',
  samples: [
    { name: 'vector', inputs: [truths([1, 0, 1])] },
    { name: 'matrix', inputs: [truths([1, 0, 1, 1], [2, 2])] },
  ],
})
