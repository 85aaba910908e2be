import { int64 } from '../../tensor/tensor.ts'
import { defineUnaryOperator } from '../families/elementwise.ts'
import { spread } from '../families/samples.ts'

export const abs = defineUnaryOperator({
  type: 'Abs',
  since: 13,
  summary: 'Takes the absolute value of each element; the gradient at zero is zero.',
  compute: () => Math.abs,
  exact: (x) => (x < 0n ? -x : x),
  derivative: ({ x, dy, emit }) => emit('Mul', [dy, emit('Sign', [x])]),
  samples: [
    { name: 'signs', inputs: [spread([2, 3])] },
    { name: 'int64', inputs: [int64([-(2n ** 60n) - 1n, 0, 5])] },
  ],
})
