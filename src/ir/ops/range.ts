import { fromBigInts, fromNumbers, toBigInts, toNumbers } from '../../tensor/elements.ts'
import { int64, scalar, type Tensor } from '../../tensor/tensor.ts'
import { nodeError, required } from '../families/axes.ts'
import type { Node } from '../model.ts'
import { defineOperator } from '../operator.ts'

export const range = defineOperator({
  type: 'Range',
  since: 11,
  summary: 'Counts from start to limit, which is left out, by delta.',
  infer: ({ node, inputs: [start], constant }) => {
    const values = [constant(0), constant(1), constant(2)]
    const count = values.every((value) => value) ? countOf(node, values as Tensor[]) : null
    return [start && { dtype: start.dtype, shape: [count] }]
  },
  evaluate: (context) => {
    const tensors = [0, 1, 2].map((index) => required(context, index))
    const [{ dtype }] = tensors
    const count = countOf(context.node, tensors)
    if (dtype === 'int64') {
      const [start, , delta] = tensors.map((tensor) => toBigInts(tensor)[0])
      return [
        fromBigInts(
          dtype,
          [count],
          BigInt64Array.from({ length: count }, (_, i) => start + BigInt(i) * delta),
        ),
      ]
    }
    const [start, , delta] = tensors.map((tensor) => toNumbers(tensor)[0])
    return [
      fromNumbers(
        dtype,
        [count],
        Float64Array.from({ length: count }, (_, i) => start + i * delta),
      ),
    ]
  },
  differentiable: 'none',
  samples: [
    { name: 'up', inputs: [scalar('int64', 1), scalar('int64', 8), scalar('int64', 3)] },
    { name: 'down', inputs: [scalar('float32', 2), scalar('float32', -1), scalar('float32', -0.5)] },
    { name: 'nothing', inputs: [int64([5], []), int64([5], []), int64([1], [])] },
  ],
})

/** max(0, ceil((limit - start) / delta)). */
function countOf(node: Node, tensors: readonly Tensor[]): number {
  const [start, limit, delta] = tensors.map((tensor) => toNumbers(tensor)[0])
  if (delta === 0) throw nodeError(node, 'range-delta', 'a step of 0 never arrives')
  return Math.max(0, Math.ceil((limit - start) / delta))
}
