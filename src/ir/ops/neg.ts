import { int64 } from '../../tensor/tensor.ts'
import { defineUnaryOperator } from '../families/elementwise.ts'
import { spread } from '../families/samples.ts'

export const neg = defineUnaryOperator({
  type: 'Neg',
  since: 13,
  summary: 'Changes the sign of each element.',
  compute: () => (x) => -x,
  exact: (x) => -x,
  derivative: ({ dy, emit }) => emit('Neg', [dy]),
  samples: [
    { name: 'signs', inputs: [spread([2, 3])] },
    { name: 'int64', inputs: [int64([2n ** 60n + 1n, 0, -5])] },
  ],
})
