import { fromNumbers, toNumbers } from '../../tensor/elements.ts'
import { elementCount, int64, scalar } from '../../tensor/tensor.ts'
import { normalizeAxis, required } from '../families/axes.ts'
import { axisTies } from '../families/broadcast.ts'
import { spread } from '../families/samples.ts'
import { intAttribute } from '../model.ts'
import { defineOperator } from '../operator.ts'

export const cumSum = defineOperator({
  type: 'CumSum',
  since: 14,
  summary: 'Adds up along an axis, with or without the element itself, from the front or the back.',
  infer: ({ inputs: [x] }) => [x],
  evaluate: (context) => {
    const { node } = context
    const x = required(context, 0)
    const axis = normalizeAxis(toNumbers(required(context, 1))[0], x.shape.length, node)
    const exclusive = intAttribute(node, 'exclusive', 0) === 1
    const reverse = intAttribute(node, 'reverse', 0) === 1
    const size = x.shape[axis]
    const inner = elementCount(x.shape.slice(axis + 1))
    const values = toNumbers(x)
    const result = new Float64Array(values.length)
    for (let line = 0; line < values.length / size; line++) {
      const start = Math.floor(line / inner) * size * inner + (line % inner)
      let total = 0
      for (let i = 0; i < size; i++) {
        const offset = start + (reverse ? size - 1 - i : i) * inner
        result[offset] = exclusive ? total : total + values[offset]
        total += values[offset]
      }
    }
    return [fromNumbers(x.dtype, x.shape, result)]
  },
  gradient: ({ node, inputs: [, axis], outputGradients: [dy], emit }) => [
    emit('CumSum', [dy, axis], {
      exclusive: intAttribute(node, 'exclusive', 0),
      reverse: 1 - intAttribute(node, 'reverse', 0),
    }),
  ],
  coupling: (context) => {
    const given = context.constant?.(1)
    if (!given) return []
    const axis = normalizeAxis(toNumbers(given)[0], context.inputs[0]!.shape.length, context.node)
    return axisTies(context, (other) => other !== axis)
  },
  samples: [
    { name: 'rows', inputs: [spread([2, 3]), scalar('int64', 1)] },
    {
      name: 'exclusive, from the back',
      inputs: [spread([3, 2]), int64([-2], [])],
      attributes: { exclusive: 1, reverse: 1 },
    },
  ],
})
