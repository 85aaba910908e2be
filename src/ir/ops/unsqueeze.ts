import { int64, reshaped } from '../../tensor/tensor.ts'
import { integersOf } from '../../tensor/elements.ts'
import { reshapeGradient, reshapeTies } from '../families/reshaping.ts'
import { inferredIntegers, normalizeAxes, required } from '../families/axes.ts'
import { spread } from '../families/samples.ts'
import type { Dim, Node } from '../model.ts'
import { defineOperator } from '../operator.ts'

export const unsqueeze = defineOperator({
  type: 'Unsqueeze',
  since: 21,
  summary: 'Inserts axes of size 1 at the named places of the result.',
  infer: (context) => {
    const [x] = context.inputs
    const axes = inferredIntegers(context, 1)
    if (!x?.shape || !Array.isArray(axes)) return [x && { dtype: x.dtype }]
    return [{ dtype: x.dtype, shape: unsqueezed(context.node, x.shape, axes) }]
  },
  evaluate: (context) => {
    const x = required(context, 0)
    return [reshaped(x, unsqueezed(context.node, x.shape, integersOf(required(context, 1))) as number[])]
  },
  gradient: reshapeGradient,
  coupling: reshapeTies,
  samples: [
    { name: 'front', inputs: [spread([3, 2]), int64([0])] },
    { name: 'both ends', inputs: [spread([3, 2]), int64([-1, 0])] },
  ],
})

function unsqueezed(node: Node, shape: readonly Dim[], axes: readonly number[]): Dim[] {
  const result = [...shape]
  for (const axis of normalizeAxes(axes, shape.length + axes.length, node)) result.splice(axis, 0, 1)
  return result
}
