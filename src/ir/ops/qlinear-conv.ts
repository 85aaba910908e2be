import { fromNumbers, toNumbers } from '../../tensor/elements.ts'
import { float32 } from '../../tensor/tensor.ts'
import { convolve } from '../families/convolution.ts'
import { convolutionCost, convolutionWindows, inferConvolution } from '../families/convolution-rules.ts'
import { alongAxis, centred } from '../families/integer-products.ts'
import { integerNoise, positiveNoise } from '../families/noise.ts'
import { toCodes, zeroPoints } from '../families/quantization.ts'
import { defineOperator } from '../operator.ts'

/**
 * Conv of quantized operands, quantized: inputs x, its scale and zero point, w, its own (for all or for each filter),
 * those of y, and a bias [filters] in int32 whose scale is that of x times that of w. Cost as Conv.
 */
export const qlinearConv = defineOperator({
  type: 'QLinearConv',
  since: 10,
  summary: 'Convolves quantized images by quantized filters into quantized images.',
  infer: ({ node, inputs }) => [
    inferConvolution(node, inputs[0], inputs[3], inputs[7]?.dtype ?? inputs[0]?.dtype ?? 'uint8'),
  ],
  evaluate: ({ node, inputs }) => {
    const [x, xScale, xZero, w, wScale, wZero, yScale, yZero, bias] = inputs
    const y = inferConvolution(node, x, w, yZero!.dtype).shape as number[]
    const windows = convolutionWindows(node, x!.shape, w!.shape)
    const sums = convolve(centred(x!, xZero, 1), centred(w!, wZero, 0), { x: x!.shape, w: w!.shape, y }, windows)
    if (bias) {
      const [values, filterOf] = [toNumbers(bias), alongAxis(bias, y, 1)]
      for (let i = 0; i < sums.length; i++) sums[i] += values[filterOf(i)]
    }
    const scales = toNumbers(wScale!)
    const scaleOf = alongAxis(wScale!, y, 1)
    const factor = toNumbers(xScale!)[0] / toNumbers(yScale!)[0]
    const ratios = sums.map((sum, i) => Math.fround(sum * factor * scales[scaleOf(i)]))
    return [
      toCodes(
        yZero!.dtype,
        y,
        ratios,
        zeroPoints(yZero, () => 0),
      ),
    ]
  },
  cost: (context) => convolutionCost(context, context.inputs[3]!.shape, context.outputs[0].shape),
  differentiable: 'none',
  samples: [
    {
      name: 'per tensor, pads',
      inputs: [
        integerNoise(1, 'uint8', [1, 2, 5, 5], 0, 255),
        float32([0.02], []),
        fromNumbers('uint8', [], [120]),
        integerNoise(2, 'uint8', [3, 2, 3, 3], 0, 255),
        float32([0.01], []),
        fromNumbers('uint8', [], [128]),
        float32([0.2], []),
        fromNumbers('uint8', [], [100]),
      ],
      attributes: { pads: [1, 1, 1, 1], strides: [2, 2] },
    },
    {
      name: 'a scale a filter, bias, groups',
      inputs: [
        integerNoise(1, 'uint8', [1, 4, 4, 4], 0, 255),
        float32([0.02], []),
        fromNumbers('uint8', [], [120]),
        integerNoise(2, 'int8', [4, 2, 2, 2], -128, 127),
        positiveNoise(3, [4], 0.01),
        fromNumbers('int8', [4], [0, 0, 0, 0]),
        float32([3], []),
        fromNumbers('uint8', [], [100]),
        integerNoise(4, 'int32', [4], -3000, 3000),
      ],
      attributes: { group: 2 },
    },
  ],
})
