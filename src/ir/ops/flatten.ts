import { elementCount, reshaped } from '../../tensor/tensor.ts'
import { reshapeGradient, reshapeTies } from '../families/reshaping.ts'
import { dimProduct, nodeError, required } from '../families/axes.ts'
import { spread } from '../families/samples.ts'
import { intAttribute, type Node } from '../model.ts'
import { defineOperator } from '../operator.ts'

export const flatten = defineOperator({
  type: 'Flatten',
  since: 21,
  summary: 'Merges the axes before and from `axis` on into a matrix: [N, C, ...spatial] -> [N, C * ...spatial].',
  infer: ({ node, inputs: [x] }) => {
    if (!x?.shape) return [x && { dtype: x.dtype, shape: [null, null] }]
    const axis = flattenAxis(node, x.shape.length)
    return [{ dtype: x.dtype, shape: [dimProduct(x.shape.slice(0, axis)), dimProduct(x.shape.slice(axis))] }]
  },
  evaluate: (context) => {
    const x = required(context, 0)
    const axis = flattenAxis(context.node, x.shape.length)
    return [reshaped(x, [elementCount(x.shape.slice(0, axis)), elementCount(x.shape.slice(axis))])]
  },
  gradient: reshapeGradient,
  coupling: reshapeTies,
  samples: [
    { name: 'images', inputs: [spread([2, 3, 2, 2])] },
    { name: 'axis 0', inputs: [spread([2, 3])], attributes: { axis: 0 } },
    { name: 'negative axis', inputs: [spread([2, 3, 5])], attributes: { axis: -1 } },
  ],
})

/** Unlike other axes, this one may be the rank itself. */
function flattenAxis(node: Node, rank: number): number {
  const axis = intAttribute(node, 'axis', 1)
  if (axis < -rank || axis > rank) throw nodeError(node, 'axis-range', `axis ${axis} does not fit ${rank} axes`)
  return axis < 0 ? axis + rank : axis
}
