import { fromNumbers, toNumbers } from '../../tensor/elements.ts'
import { convolutionAttributes, convolutionCost, convolutionWindows } from '../families/convolution-rules.ts'
import { noise } from '../families/noise.ts'
import { correlate } from '../families/convolution.ts'
import { defineOperator } from '../operator.ts'
import { resultShape } from '../windows.ts'

/**
 * The gradient of Conv by its weight: dy [batch, filters, ...outputs], x [batch, channels, ...spatial]
 * -> dw [filters, channels / groups, ...kernel].
 * Attributes: the forward node's strides, pads (explicit), dilations, group, and `shape`, the shape of dw.
 * Linear in both operands: by dy its gradient is a Conv of x, by x a ConvGradX.
 * Cost: as many multiply-accumulates as the forward convolution.
 */
export const convGradW = defineOperator({
  type: 'ConvGradW',
  domain: 'espalier',
  since: 1,
  summary: 'Carries the gradient of a convolution back to its weight.',
  infer: ({ node, inputs: [dy] }) => [{ dtype: dy?.dtype ?? 'float32', shape: resultShape(node) }],
  evaluate: ({ node, inputs: [dy, x] }) => {
    const w = resultShape(node)
    const shapes = { x: x!.shape, w, y: dy!.shape }
    const dw = correlate(toNumbers(dy!), toNumbers(x!), shapes, convolutionWindows(node, x!.shape, w))
    return [fromNumbers(dy!.dtype, w, dw)]
  },
  gradient: ({ node, inputs: [dy, x], outputGradients: [g], wants, shape, emit }) => {
    const attributes = convolutionAttributes(node, shape(x!), resultShape(node))
    return [
      wants(0) ? emit('Conv', [x, g], attributes) : undefined,
      wants(1) ? emit('espalier.ConvGradX', [dy, g], { ...attributes, shape: shape(x!) }) : undefined,
    ]
  },
  cost: (context) => convolutionCost(context, context.outputs[0].shape, context.inputs[0]!.shape),
  samples: [
    {
      name: 'stride, asymmetric pads',
      inputs: [noise(1, [2, 3, 4, 3]), noise(2, [2, 2, 7, 6])],
      attributes: { strides: [2, 2], pads: [1, 0, 2, 1], dilations: [1, 1], group: 1, shape: [3, 2, 3, 2] },
    },
    {
      name: 'groups',
      inputs: [noise(1, [1, 6, 3, 3]), noise(2, [1, 4, 5, 5])],
      attributes: { strides: [1, 1], pads: [0, 0, 0, 0], dilations: [1, 1], group: 2, shape: [6, 2, 3, 3] },
    },
    {
      name: 'depthwise, dilation',
      inputs: [noise(1, [2, 3, 5, 5]), noise(2, [2, 3, 5, 5])],
      attributes: { strides: [1, 1], pads: [2, 2, 2, 2], dilations: [2, 2], group: 3, shape: [3, 1, 3, 3] },
    },
    {
      name: 'one-dimensional, stride leaves a rest',
      inputs: [noise(1, [2, 4, 3]), noise(2, [2, 3, 10])],
      attributes: { strides: [3], pads: [0, 1], dilations: [1], group: 1, shape: [4, 3, 3] },
    },
  ],
})
