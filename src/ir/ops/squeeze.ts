import { elementCount, int64, reshaped } from '../../tensor/tensor.ts'
import { reshapeGradient, reshapeTies } from '../families/reshaping.ts'
import { inferredIntegers, integersAt, nodeError, normalizeAxes, required } from '../families/axes.ts'
import { spread } from '../families/samples.ts'
import type { Dim, Node } from '../model.ts'
import { defineOperator } from '../operator.ts'

export const squeeze = defineOperator({
  type: 'Squeeze',
  since: 21,
  summary: 'Removes axes of size 1: those named, or all.',
  infer: (context) => {
    const [x] = context.inputs
    if (!x?.shape) return [x && { dtype: x.dtype }]
    const axes = inferredIntegers(context, 1)
    if (axes === 'unknown' || (axes === 'absent' && x.shape.some((dim) => typeof dim !== 'number')))
      return [{ dtype: x.dtype }]
    return [{ dtype: x.dtype, shape: squeezed(context.node, x.shape, axes === 'absent' ? undefined : axes) }]
  },
  evaluate: (context) => {
    const x = required(context, 0)
    const shape = squeezed(context.node, x.shape, integersAt(context, 1)) as number[]
    if (elementCount(shape) !== elementCount(x.shape))
      throw nodeError(context.node, 'squeeze-size', `an axis of [${x.shape.join(', ')}] to be removed is not of size 1`)
    return [reshaped(x, shape)]
  },
  gradient: reshapeGradient,
  coupling: reshapeTies,
  samples: [
    { name: 'all', inputs: [spread([1, 3, 1, 2])] },
    { name: 'negative axis', inputs: [spread([1, 3, 1]), int64([-1])] },
  ],
})

function squeezed(node: Node, shape: readonly Dim[], axes: readonly number[] | undefined): Dim[] {
  const removed = axes ? normalizeAxes(axes, shape.length, node) : undefined
  return shape.filter((size, axis) => (removed ? !removed.includes(axis) : size !== 1))
}
