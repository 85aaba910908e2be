import { defineBinaryOperator } from '../families/elementwise.ts'
import { spread, spreadOf } from '../families/samples.ts'

export const greaterOrEqual = defineBinaryOperator({
  type: 'GreaterOrEqual',
  since: 16,
  summary: 'Tells where the first tensor is at least the second, with broadcasting.',
  result: 'bool',
  compute: () => (a, b) => Number(a >= b),
  differentiable: 'none',
  samples: [
    { name: 'floats', inputs: [spread([2, 3]), spreadOf('float32', [3], -1, 1, 0.1)] },
    { name: 'integers', inputs: [spreadOf('int32', [7], 0, 4), spreadOf('int32', [7], 0, 4, 0.7)] },
  ],
})
