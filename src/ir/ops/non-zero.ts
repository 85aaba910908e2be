import { elementsOf } from '../../tensor/elements.ts'
import { rowMajorStrides } from '../../tensor/shape.ts'
import { int64 } from '../../tensor/tensor.ts'
import { required } from '../families/axes.ts'
import { spreadOf, truths } from '../families/samples.ts'
import { toNumbers } from '../../tensor/elements.ts'
import { defineOperator } from '../operator.ts'

export const nonZero = defineOperator({
  type: 'NonZero',
  since: 13,
  summary: 'Lists the places of elements that are not zero: [...any] -> [rank, count].',
  infer: ({ inputs: [x] }) => [{ dtype: 'int64', shape: [x?.shape ? x.shape.length : null, null] }],
  evaluate: (context) => {
    const x = required(context, 0)
    const values: ArrayLike<unknown> = x.dtype === 'string' ? elementsOf(x) : toNumbers(x)
    const places = Array.from(values, (value, index) => (value ? index : -1)).filter((index) => index >= 0)
    const strides = rowMajorStrides(x.shape)
    const axes = x.shape.flatMap((size, axis) => places.map((place) => Math.floor(place / strides[axis]) % size))
    return [int64(axes, [x.shape.length, places.length])]
  },
  differentiable: 'none',
  samples: [
    { name: 'truths', inputs: [truths([1, 0, 0, 1, 1, 0], [2, 3])] },
    { name: 'integers', inputs: [spreadOf('int32', [7], -1, 2)] },
  ],
})
