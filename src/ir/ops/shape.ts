import { int64 } from '../../tensor/tensor.ts'
import { required } from '../families/axes.ts'
import { spread } from '../families/samples.ts'
import { intAttribute, type Node } from '../model.ts'
import { defineOperator, type ChannelTie } from '../operator.ts'

export const shape = defineOperator({
  type: 'Shape',
  since: 21,
  summary: 'Gives the sizes of the axes from `start` to `end`: [...any] -> [rank].',
  infer: ({ node, inputs: [x] }) => [
    {
      dtype: 'int64',
      shape: [x?.shape ? window(node, x.shape.length).reduce((start, end) => Math.max(0, end - start)) : null],
    },
  ],
  evaluate: (context) => {
    const x = required(context, 0)
    return [int64(x.shape.slice(...window(context.node, x.shape.length)))]
  },
  differentiable: 'none',
  /** Sizes that it does not give may change. */
  coupling: ({ node, inputs: [x] }) => {
    const [start, end] = window(node, x!.shape.length)
    return x!.shape.flatMap((_, axis): ChannelTie[] =>
      axis >= start && axis < end ? [] : [{ ports: [{ side: 'input', index: 0, axis }] }],
    )
  },
  samples: [
    { name: 'whole', inputs: [spread([2, 3, 5])] },
    { name: 'part', inputs: [spread([2, 3, 5])], attributes: { start: -2, end: 2 } },
  ],
})

function window(node: Node, rank: number): [number, number] {
  const bound = (value: number) => Math.min(rank, Math.max(0, value < 0 ? value + rank : value))
  return [bound(intAttribute(node, 'start', 0)), bound(intAttribute(node, 'end', rank))]
}
