import { defineBinaryOperator } from '../families/elementwise.ts'
import { truths } from '../families/samples.ts'

export const and = defineBinaryOperator({
  type: 'And',
  since: 7,
  summary: 'Tells where both tensors are true, with broadcasting.',
  result: 'bool',
  compute: () => (a, b) => a & b,
  differentiable: 'none',
  samples: [
    { name: 'all pairs', inputs: [truths([0, 0, 1, 1]), truths([0, 1, 0, 1])] },
    { name: 'broadcast', inputs: [truths([0, 1], [2, 1]), truths([0, 1, 1])] },
  ],
})
