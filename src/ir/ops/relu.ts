import { defineUnaryOperator } from '../families/elementwise.ts'
import { spread, spreadOf } from '../families/samples.ts'

export const relu = defineUnaryOperator({
  type: 'Relu',
  since: 14,
  summary: 'Sets negative elements to zero: [...any] -> [...any].',
  compute: () => (x) => Math.max(x, 0),
  derivative: ({ y, dy, emit }) => emit('espalier.ReluGrad', [dy, y]),
  samples: [
    { name: 'signs', inputs: [spread([2, 3])] },
    { name: 'int8', inputs: [spreadOf('int8', [5], -100, 100)] },
  ],
})
