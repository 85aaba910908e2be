import { float32 } from '../../tensor/tensor.ts'
import { defineUnaryOperator } from '../families/elementwise.ts'
import { spread } from '../families/samples.ts'

export const isNaN = defineUnaryOperator({
  type: 'IsNaN',
  since: 20,
  summary: 'Tells where an element is not a number.',
  result: 'bool',
  compute: () => (x) => Number(Number.isNaN(x)),
  differentiable: 'none',
  samples: [
    { name: 'some', inputs: [float32([1, Number.NaN, Number.POSITIVE_INFINITY])] },
    { name: 'none', inputs: [spread([2, 3])] },
  ],
})
