import { fromNumbers, toNumbers } from '../../tensor/elements.ts'
import { int64 } from '../../tensor/tensor.ts'
import {
  convolutionAttributes,
  convolutionCost,
  convolutionTies,
  convolutionWindows,
  cutGroups,
  inferConvolution,
} from '../families/convolution-rules.ts'
import { noise } from '../families/noise.ts'
import { convolve } from '../families/convolution.ts'
import { intAttribute } from '../model.ts'
import { defineOperator, type Sample } from '../operator.ts'

/**
 * Convolution of any spatial rank: x [batch, channels, ...spatial], w [filters, channels / groups, ...kernel],
 * bias [filters] -> y [batch, filters, ...outputs].
 * The gradient by x is an `espalier.ConvGradX`, that by w an `espalier.ConvGradW`; both carry the node's strides, pads
 * (auto_pad resolved), dilations and group, and the shape of their result as `shape`.
 * Cost: batch * filters * outputs * (channels / groups) * kernel multiply-accumulates, taps in the padding included.
 */
export const conv = defineOperator({
  type: 'Conv',
  since: 11,
  summary: 'Slides filters over an image and sums over channels and taps.',
  parameters: [1, 2],
  infer: ({ node, inputs: [x, w] }) => [inferConvolution(node, x, w, x?.dtype ?? w?.dtype ?? 'float32')],
  evaluate: ({ node, inputs: [x, w, bias] }) => {
    const y = inferConvolution(node, x, w, x!.dtype).shape as number[]
    const shapes = { x: x!.shape, w: w!.shape, y }
    const result = convolve(toNumbers(x!), toNumbers(w!), shapes, convolutionWindows(node, x!.shape, w!.shape))
    if (bias) {
      const values = toNumbers(bias)
      const plane = result.length / (y[0] * y[1]) || 1
      for (let i = 0; i < result.length; i++) result[i] += values[Math.floor(i / plane) % y[1]]
    }
    return [fromNumbers(x!.dtype, y, result)]
  },
  gradient: ({ node, inputs: [x, w, bias], outputGradients: [dy], wants, shape, emit, literal }) => {
    const attributes = convolutionAttributes(node, shape(x!), shape(w!))
    const rest = shape(x!).flatMap((_, axis) => (axis === 1 ? [] : [axis]))
    return [
      wants(0) ? emit('espalier.ConvGradX', [dy, w], { ...attributes, shape: shape(x!) }) : undefined,
      wants(1) ? emit('espalier.ConvGradW', [dy, x], { ...attributes, shape: shape(w!) }) : undefined,
      bias !== undefined && wants(2) ? emit('ReduceSum', [dy, literal(int64(rest))], { keepdims: 0 }) : undefined,
    ]
  },
  cost: (context) => convolutionCost(context, context.inputs[1]!.shape, context.outputs[0].shape),
  coupling: ({ node, inputs }) =>
    convolutionTies(intAttribute(node, 'group', 1), inputs[1]!.shape, {
      x: 0,
      w: 1,
      perFilter: inputs[2] ? [2] : [],
    }),
  cut: (context) => cutGroups(context, { x: 0, groupChannels: context.inputs[1]!.shape[1] }),
  samples: [
    sample('one-dimensional', [2, 3, 9], [4, 3, 3], { strides: [2], pads: [1, 2] }),
    sample('same size', [2, 3, 5, 5], [4, 3, 3, 3], { pads: [1, 1, 1, 1] }),
    sample('stride, asymmetric pads', [1, 2, 7, 6], [3, 2, 3, 2], { strides: [2, 2], pads: [1, 0, 2, 1] }),
    sample('stride leaves a rest', [1, 2, 8, 8], [2, 2, 3, 3], { strides: [3, 3], pads: [0, 0, 0, 0] }),
    sample('groups', [1, 4, 5, 5], [6, 2, 3, 3], { group: 2, strides: [2, 1] }),
    sample('depthwise with multiplier', [1, 3, 5, 5], [6, 1, 3, 3], { group: 3, pads: [1, 1, 1, 1] }),
    sample('dilation', [1, 2, 9, 8], [2, 2, 3, 2], { dilations: [2, 3], pads: [2, 0, 1, 3] }),
    sample('pointwise', [2, 5, 3, 4], [3, 5, 1, 1], {}, false),
    sample('SAME_UPPER', [1, 2, 7, 8], [2, 2, 4, 3], { auto_pad: 'SAME_UPPER', strides: [2, 3] }, false),
    sample('SAME_LOWER', [1, 2, 7, 8], [2, 2, 4, 3], { auto_pad: 'SAME_LOWER', strides: [2, 3] }, false),
    sample('VALID', [1, 2, 7, 8], [2, 2, 4, 3], { auto_pad: 'VALID', strides: [2, 1] }, false),
    sample('three-dimensional', [1, 2, 4, 4, 3], [2, 2, 2, 3, 2], { strides: [2, 1, 1], pads: [0, 1, 0, 0, 1, 1] }),
  ],
})

function sample(
  name: string,
  x: readonly number[],
  w: readonly number[],
  attributes: NonNullable<Sample['attributes']>,
  bias = true,
): Sample {
  return { name, inputs: [noise(1, x), noise(2, w), ...(bias ? [noise(3, [w[0]])] : [])], attributes }
}
