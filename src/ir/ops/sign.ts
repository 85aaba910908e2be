import { defineUnaryOperator } from '../families/elementwise.ts'
import { spread } from '../families/samples.ts'
import { int64 } from '../../tensor/tensor.ts'

export const sign = defineUnaryOperator({
  type: 'Sign',
  since: 13,
  summary: 'Gives -1, 0 or 1 by the sign of each element.',
  compute: () => Math.sign,
  differentiable: 'none',
  samples: [
    { name: 'signs', inputs: [spread([2, 3])] },
    { name: 'int64', inputs: [int64([-7, 0, 5])] },
  ],
})
