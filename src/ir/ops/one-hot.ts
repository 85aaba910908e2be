import { allocateElements, elementsOf, fromElements, toNumbers } from '../../tensor/elements.ts'
import { elementCount, float32, int64, scalar } from '../../tensor/tensor.ts'
import { normalizeAxis, required } from '../families/axes.ts'
import { intAttribute, type Dim } from '../model.ts'
import { defineOperator } from '../operator.ts'

export const oneHot = defineOperator({
  type: 'OneHot',
  since: 11,
  summary: 'Marks each index by an on value among off values along a new axis: [...i] -> [...i, depth].',
  infer: ({ node, inputs: [indices, , values], constant }) => {
    if (!indices?.shape) return [values && { dtype: values.dtype }]
    const axis = normalizeAxis(intAttribute(node, 'axis', -1), indices.shape.length + 1, node)
    const depth = constant(1)
    const shape: Dim[] = [...indices.shape]
    shape.splice(axis, 0, depth ? toNumbers(depth)[0] : null)
    return [values && { dtype: values.dtype, shape }]
  },
  evaluate: (context) => {
    const [indices, values] = [required(context, 0), required(context, 2)]
    const depth = Math.trunc(toNumbers(required(context, 1))[0])
    const axis = normalizeAxis(intAttribute(context.node, 'axis', -1), indices.shape.length + 1, context.node)
    const shape = [...indices.shape]
    shape.splice(axis, 0, depth)
    const [off, on] = elementsOf(values)
    const result = allocateElements(values.dtype, elementCount(shape)).fill(off as never)
    const inner = elementCount(shape.slice(axis + 1))
    for (const [i, index] of Array.from(toNumbers(indices), Math.trunc).entries()) {
      const position = index < 0 ? index + depth : index
      if (position < 0 || position >= depth) continue
      result[Math.floor(i / inner) * depth * inner + position * inner + (i % inner)] = on
    }
    return [fromElements(values.dtype, shape, result)]
  },
  differentiable: 'none',
  samples: [
    { name: 'labels', inputs: [int64([2, 0, -1]), scalar('int64', 4), float32([0, 1])] },
    {
      name: 'inner axis, out of range',
      inputs: [int64([1, 3, 0, 2], [2, 2]), scalar('int64', 3), float32([-1, 5])],
      attributes: { axis: 1 },
    },
    { name: 'integers', inputs: [int64([0, 1]), scalar('int64', 2), int64([0, 9])] },
  ],
})
