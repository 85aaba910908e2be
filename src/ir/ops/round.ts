import { roundEven } from '../../tensor/half.ts'
import { float32 } from '../../tensor/tensor.ts'
import { defineUnaryOperator } from '../families/elementwise.ts'
import { spread } from '../families/samples.ts'

export const round = defineUnaryOperator({
  type: 'Round',
  since: 11,
  summary: 'Rounds each element to the nearest integer, halves to even.',
  compute: () => roundEven,
  differentiable: 'none',
  samples: [
    { name: 'halves', inputs: [float32([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5])] },
    { name: 'others', inputs: [spread([2, 3], -9, 9)] },
  ],
})
