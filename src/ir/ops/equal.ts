import { createTensor, int64, scalar } from '../../tensor/tensor.ts'
import { broadcastShape, broadcastStrides, walk } from '../../tensor/shape.ts'
import { elementsOf, fromNumbers } from '../../tensor/elements.ts'
import { elementCount } from '../../tensor/tensor.ts'
import { required } from '../families/axes.ts'
import { broadcastTies, broadcastType } from '../families/broadcast.ts'
import { spread, spreadOf, truths } from '../families/samples.ts'
import { toNumbers } from '../../tensor/elements.ts'
import { dtypes } from '../../tensor/dtype.ts'
import { defineOperator } from '../operator.ts'

export const equal = defineOperator({
  type: 'Equal',
  since: 19,
  summary: 'Tells where two tensors of any type are equal, with broadcasting.',
  infer: ({ node, inputs: [a, b] }) => [broadcastType(node, [a, b], 'bool')],
  evaluate: (context) => {
    const [a, b] = [required(context, 0), required(context, 1)]
    const shape = broadcastShape(a.shape, b.shape)
    const result = new Uint8Array(elementCount(shape))
    const [x, y] = [a, b].map((tensor) =>
      dtypes[tensor.dtype].kind === 'float' ? toNumbers(tensor) : elementsOf(tensor),
    )
    walk(shape, broadcastStrides(a.shape, shape), broadcastStrides(b.shape, shape), (index, i, j) => {
      result[index] = x[i] === y[j] ? 1 : 0
    })
    return [createTensor('bool', shape, result)]
  },
  coupling: broadcastTies,
  differentiable: 'none',
  samples: [
    { name: 'codes', inputs: [spreadOf('int32', [3, 3], 0, 3), fromNumbers('int32', [], [1])] },
    { name: 'int64', inputs: [int64([2n ** 60n, 2n ** 60n + 1n]), scalar('int64', 2n ** 60n)] },
    { name: 'truths', inputs: [truths([1, 0, 1]), truths([1, 1, 0])] },
    { name: 'floats', inputs: [spread([2, 3]), spread([2, 3])] },
  ],
})
