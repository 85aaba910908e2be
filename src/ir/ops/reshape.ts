import { int64, reshaped } from '../../tensor/tensor.ts'
import { integersOf } from '../../tensor/elements.ts'
import { withSizes } from '../families/cutting.ts'
import { inferReshape, reshapeGradient, reshapeTies, resolveShape } from '../families/reshaping.ts'
import { inferredIntegers, required, unknownDims } from '../families/axes.ts'
import { spread } from '../families/samples.ts'
import { defineOperator } from '../operator.ts'

export const reshape = defineOperator({
  type: 'Reshape',
  since: 21,
  summary: 'Gives the elements another shape, in which 0 copies a size and -1 takes what is left.',
  infer: (context) => {
    const [x, shape] = context.inputs
    const target = inferredIntegers(context, 1)
    if (Array.isArray(target)) return [x && { dtype: x.dtype, shape: inferReshape(context.node, x.shape, target) }]
    const rank = shape?.shape?.[0]
    return [x && { dtype: x.dtype, shape: typeof rank === 'number' ? unknownDims(rank) : undefined }]
  },
  evaluate: (context) => {
    const x = required(context, 0)
    return [reshaped(x, resolveShape(context.node, x.shape, integersOf(required(context, 1))))]
  },
  gradient: reshapeGradient,
  coupling: (context) => (context.constant?.(1) ? reshapeTies(context) : []),
  cut: withSizes,
  samples: [
    { name: 'zero and rest', inputs: [spread([2, 3, 4]), int64([0, -1])] },
    { name: 'split an axis', inputs: [spread([6, 5]), int64([2, 3, 5])] },
    { name: 'to a vector', inputs: [spread([3, 3]), int64([-1])] },
  ],
})
