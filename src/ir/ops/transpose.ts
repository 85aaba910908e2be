import { rowMajorStrides } from '../../tensor/shape.ts'
import { required, nodeError } from '../families/axes.ts'
import { takeStrided } from '../families/movement.ts'
import { spread, spreadOf } from '../families/samples.ts'
import { intsAttribute, type Node } from '../model.ts'
import { defineOperator } from '../operator.ts'

export const transpose = defineOperator({
  type: 'Transpose',
  since: 21,
  summary: 'Puts the axes into the order `perm`, by default the reverse one.',
  infer: ({ node, inputs: [x] }) => {
    if (!x?.shape) return [x && { dtype: x.dtype }]
    const { shape } = x
    return [{ dtype: x.dtype, shape: permutation(node, shape.length).map((axis) => shape[axis]) }]
  },
  evaluate: (context) => {
    const x = required(context, 0)
    const order = permutation(context.node, x.shape.length)
    const strides = rowMajorStrides(x.shape)
    return [
      takeStrided(
        x,
        order.map((axis) => x.shape[axis]),
        order.map((axis) => strides[axis]),
      ),
    ]
  },
  gradient: ({ node, inputs: [x], outputGradients: [dy], emit, shape }) => {
    const order = permutation(node, shape(x!).length)
    return [emit('Transpose', [dy], { perm: order.map((_, axis) => order.indexOf(axis)) })]
  },
  coupling: ({ node, inputs: [x] }) =>
    permutation(node, x!.shape.length).map((source, axis) => ({
      ports: [
        { side: 'input', index: 0, axis: source },
        { side: 'output', index: 0, axis },
      ],
    })),
  samples: [
    { name: 'reverse', inputs: [spread([2, 3, 4])] },
    { name: 'channels last', inputs: [spread([2, 3, 2, 5])], attributes: { perm: [0, 2, 3, 1] } },
    { name: 'int64', inputs: [spreadOf('int64', [3, 2], -9, 9)], attributes: { perm: [1, 0] } },
  ],
})

function permutation(node: Node, rank: number): number[] {
  const order = intsAttribute(node, 'perm') ?? Array.from({ length: rank }, (_, axis) => rank - 1 - axis)
  if (order.length !== rank || new Set(order).size !== rank || order.some((axis) => !(axis >= 0 && axis < rank)))
    throw nodeError(node, 'transpose-perm', `[${order.join(', ')}] is no permutation of ${rank} axes`)
  return order
}
