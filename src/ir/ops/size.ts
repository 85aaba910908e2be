import { elementCount, scalar } from '../../tensor/tensor.ts'
import { required } from '../families/axes.ts'
import { spread } from '../families/samples.ts'
import { defineOperator } from '../operator.ts'

export const size = defineOperator({
  type: 'Size',
  since: 21,
  summary: 'Gives the number of elements as a scalar.',
  infer: () => [{ dtype: 'int64', shape: [] }],
  evaluate: (context) => [scalar('int64', elementCount(required(context, 0).shape))],
  differentiable: 'none',
  samples: [
    { name: 'matrix', inputs: [spread([2, 3])] },
    { name: 'empty', inputs: [spread([0, 3])] },
  ],
})
