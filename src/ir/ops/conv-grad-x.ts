import { fromNumbers, toNumbers } from '../../tensor/elements.ts'
import { convolutionAttributes, convolutionCost, convolutionWindows } from '../families/convolution-rules.ts'
import { noise } from '../families/noise.ts'
import { convolveBack } from '../families/convolution.ts'
import { defineOperator } from '../operator.ts'
import { resultShape } from '../windows.ts'

/**
 * The gradient of Conv by its input: dy [batch, filters, ...outputs], w [filters, channels / groups, ...kernel]
 * -> dx [batch, channels, ...spatial].
 * Attributes: the forward node's strides, pads (explicit), dilations, group, and `shape`, the shape of dx.
 * Linear in both operands: by dy its gradient is the Conv itself, by w a ConvGradW.
 * Cost: as many multiply-accumulates as the forward convolution.
 */
export const convGradX = defineOperator({
  type: 'ConvGradX',
  domain: 'espalier',
  since: 1,
  summary: 'Carries the gradient of a convolution back to its input.',
  infer: ({ node, inputs: [dy] }) => [{ dtype: dy?.dtype ?? 'float32', shape: resultShape(node) }],
  evaluate: ({ node, inputs: [dy, w] }) => {
    const x = resultShape(node)
    const shapes = { x, w: w!.shape, y: dy!.shape }
    const dx = convolveBack(toNumbers(dy!), toNumbers(w!), shapes, convolutionWindows(node, x, w!.shape))
    return [fromNumbers(dy!.dtype, x, dx)]
  },
  gradient: ({ node, inputs: [dy, w], outputGradients: [g], wants, shape, emit }) => {
    const attributes = convolutionAttributes(node, resultShape(node), shape(w!))
    return [
      wants(0) ? emit('Conv', [g, w], attributes) : undefined,
      wants(1) ? emit('espalier.ConvGradW', [dy, g], { ...attributes, shape: shape(w!) }) : undefined,
    ]
  },
  cost: (context) => convolutionCost(context, context.inputs[1]!.shape, context.inputs[0]!.shape),
  samples: [
    {
      name: 'stride, asymmetric pads',
      inputs: [noise(1, [1, 3, 4, 3]), noise(2, [3, 2, 3, 2])],
      attributes: { strides: [2, 2], pads: [1, 0, 2, 1], dilations: [1, 1], group: 1, shape: [1, 2, 7, 6] },
    },
    {
      name: 'groups',
      inputs: [noise(1, [1, 6, 3, 3]), noise(2, [6, 2, 3, 3])],
      attributes: { strides: [1, 1], pads: [0, 0, 0, 0], dilations: [1, 1], group: 2, shape: [1, 4, 5, 5] },
    },
    {
      name: 'depthwise, dilation',
      inputs: [noise(1, [2, 3, 5, 5]), noise(2, [3, 1, 3, 3])],
      attributes: { strides: [1, 1], pads: [2, 2, 2, 2], dilations: [2, 2], group: 3, shape: [2, 3, 5, 5] },
    },
    {
      name: 'one-dimensional, stride leaves a rest',
      inputs: [noise(1, [2, 4, 3]), noise(2, [4, 3, 3])],
      attributes: { strides: [3], pads: [0, 1], dilations: [1], group: 1, shape: [2, 3, 10] },
    },
  ],
})
