import { broadcastShape, broadcastStrides } from '../../tensor/shape.ts'
import { integersOf } from '../../tensor/elements.ts'
import { int64 } from '../../tensor/tensor.ts'
import { inferredIntegers, required, unknownDims } from '../families/axes.ts'
import { broadcastDims, broadcastTies } from '../families/broadcast.ts'
import { withSizes } from '../families/cutting.ts'
import { takeStrided } from '../families/movement.ts'
import { spread, spreadOf } from '../families/samples.ts'
import { defineOperator } from '../operator.ts'

export const expand = defineOperator({
  type: 'Expand',
  since: 13,
  summary: 'Repeats the input to the broadcast of its shape and the given one.',
  infer: (context) => {
    const [x, shape] = context.inputs
    const target = inferredIntegers(context, 1)
    if (Array.isArray(target)) return [x && { dtype: x.dtype, shape: broadcastDims(context.node, [x.shape, target]) }]
    const rank = shape?.shape?.[0]
    const known = x?.shape && typeof rank === 'number' ? unknownDims(Math.max(rank, x.shape.length)) : undefined
    return [x && { dtype: x.dtype, shape: known }]
  },
  evaluate: (context) => {
    const x = required(context, 0)
    const shape = broadcastShape(x.shape, integersOf(required(context, 1)))
    return [takeStrided(x, shape, broadcastStrides(x.shape, shape))]
  },
  gradient: ({ inputs: [x], outputGradients: [dy], shape, unbroadcast }) => [unbroadcast(dy!, shape(x!))],
  coupling: ({ node, inputs: [x], outputs, constant }) =>
    constant?.(1) ? broadcastTies({ node, inputs: [x], outputs }) : [],
  cut: withSizes,
  samples: [
    { name: 'new axis', inputs: [spread([3, 1]), int64([2, 1, 4])] },
    { name: 'smaller target', inputs: [spread([2, 3]), int64([1])] },
    { name: 'int64', inputs: [spreadOf('int64', [1], 3, 4), int64([2, 2])] },
  ],
})
