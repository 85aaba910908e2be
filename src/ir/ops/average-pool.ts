import { fromNumbers, toNumbers } from '../../tensor/elements.ts'
import { elementCount } from '../../tensor/tensor.ts'
import { noise } from '../families/noise.ts'
import { intAttribute } from '../model.ts'
import { defineOperator } from '../operator.ts'
import { inferPool, poolAttributes, poolTies, poolWindows, windowSizes } from '../families/pooling.ts'
import { listTaps } from '../windows.ts'

/**
 * The mean of each window: x [batch, channels, ...spatial] -> y [batch, channels, ...windows].
 * Its gradient is an `espalier.AveragePoolGrad`.
 */
export const averagePool = defineOperator({
  type: 'AveragePool',
  since: 19,
  summary: 'Averages the elements of each window.',
  infer: ({ node, inputs: [x] }) => [inferPool(node, x)],
  evaluate: ({ node, inputs: [x] }) => {
    const shape = inferPool(node, x)!.shape as number[]
    const windows = poolWindows(node, x!.shape)
    const [spatial, counts] = [x!.shape.slice(2), shape.slice(2)]
    const taps = listTaps(spatial, counts, windows)
    const sizes = windowSizes(node, spatial, counts, windows)
    const values = toNumbers(x!)
    const y = new Float64Array(elementCount(shape))
    const [xPlane, yPlane] = [elementCount(spatial), elementCount(counts)]
    for (let plane = 0; plane < shape[0] * shape[1]; plane++) {
      for (let t = 0; t < taps.output.length; t++)
        y[plane * yPlane + taps.output[t]] += values[plane * xPlane + taps.input[t]]
      for (let o = 0; o < yPlane; o++) y[plane * yPlane + o] /= sizes[o]
    }
    return [fromNumbers(x!.dtype, shape, y)]
  },
  gradient: ({ node, inputs: [x], outputGradients: [dy], shape, emit }) => [
    emit('espalier.AveragePoolGrad', [dy], {
      ...poolAttributes(node, shape(x!)),
      count_include_pad: intAttribute(node, 'count_include_pad', 0),
      shape: shape(x!),
    }),
  ],
  coupling: poolTies,
  samples: [
    {
      name: 'non-overlapping',
      inputs: [noise(1, [2, 3, 4, 6])],
      attributes: { kernel_shape: [2, 2], strides: [2, 2] },
    },
    {
      name: 'padded',
      inputs: [noise(2, [1, 2, 7, 7])],
      attributes: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] },
    },
    {
      name: 'count_include_pad',
      inputs: [noise(2, [1, 2, 7, 7])],
      attributes: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 0, 2, 1], count_include_pad: 1 },
    },
    {
      name: 'ceil_mode',
      inputs: [noise(3, [1, 2, 6, 7])],
      attributes: { kernel_shape: [3, 3], strides: [2, 2], ceil_mode: 1 },
    },
    {
      name: 'ceil_mode, count_include_pad',
      inputs: [noise(3, [1, 1, 6, 8])],
      attributes: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 0], ceil_mode: 1, count_include_pad: 1 },
    },
    {
      name: 'dilation',
      inputs: [noise(4, [1, 1, 8, 9])],
      attributes: { kernel_shape: [3, 2], dilations: [2, 3], pads: [1, 0, 2, 1] },
    },
    { name: 'one-dimensional', inputs: [noise(5, [2, 2, 9])], attributes: { kernel_shape: [4], strides: [3] } },
    {
      name: 'SAME_UPPER',
      inputs: [noise(6, [1, 2, 5, 6])],
      attributes: { kernel_shape: [2, 3], strides: [2, 2], auto_pad: 'SAME_UPPER' },
    },
  ],
})
