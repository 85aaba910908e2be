import { fromNumbers } from '../../tensor/elements.ts'
import { convolve } from '../families/convolution.ts'
import { convolutionCost, convolutionWindows, inferConvolution } from '../families/convolution-rules.ts'
import { centred } from '../families/integer-products.ts'
import { integerNoise } from '../families/noise.ts'
import { defineOperator } from '../operator.ts'

/**
 * Conv of codes, each minus its zero point, as int32: x [batch, channels, ...spatial], w [filters, channels / groups,
 * ...kernel]. The zero point of w may be one a filter. Cost as Conv.
 */
export const convInteger = defineOperator({
  type: 'ConvInteger',
  since: 10,
  summary: 'Convolves eight-bit codes into 32-bit integers.',
  infer: ({ node, inputs: [x, w] }) => [inferConvolution(node, x, w, 'int32')],
  evaluate: ({ node, inputs: [x, w, xZero, wZero] }) => {
    const y = inferConvolution(node, x, w, 'int32').shape as number[]
    const windows = convolutionWindows(node, x!.shape, w!.shape)
    const shapes = { x: x!.shape, w: w!.shape, y }
    return [fromNumbers('int32', y, convolve(centred(x!, xZero, 1), centred(w!, wZero, 0), shapes, windows))]
  },
  cost: (context) => convolutionCost(context, context.inputs[1]!.shape, context.outputs[0].shape),
  differentiable: 'none',
  samples: [
    {
      name: 'zero point, pads',
      inputs: [
        integerNoise(1, 'uint8', [1, 2, 5, 5], 0, 255),
        integerNoise(2, 'uint8', [3, 2, 3, 3], 0, 255),
        fromNumbers('uint8', [], [120]),
      ],
      attributes: { pads: [1, 1, 1, 1], strides: [2, 2] },
    },
    {
      name: 'no zero points, groups',
      inputs: [integerNoise(1, 'uint8', [1, 4, 4, 4], 0, 255), integerNoise(2, 'uint8', [4, 2, 2, 2], 0, 255)],
      attributes: { group: 2 },
    },
  ],
})
