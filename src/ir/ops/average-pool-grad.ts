import { fromNumbers, toNumbers } from '../../tensor/elements.ts'
import { elementCount } from '../../tensor/tensor.ts'
import { noise } from '../families/noise.ts'
import { defineOperator } from '../operator.ts'
import { poolWindows, windowSizes } from '../families/pooling.ts'
import { listTaps, resultShape } from '../windows.ts'

/**
 * The gradient of AveragePool (and of GlobalAveragePool: a kernel as large as the image): dy [batch, channels,
 * ...windows] -> dx [batch, channels, ...spatial].
 * Attributes: the forward node's kernel_shape, strides, pads (explicit), dilations, ceil_mode, count_include_pad, and
 * `shape`, x's shape. Linear: its own gradient is the AveragePool.
 */
export const averagePoolGrad = defineOperator({
  type: 'AveragePoolGrad',
  domain: 'espalier',
  since: 1,
  summary: 'Spreads the gradient of a mean over the elements of its window.',
  infer: ({ node, inputs: [dy] }) => [{ dtype: dy?.dtype ?? 'float32', shape: resultShape(node) }],
  evaluate: ({ node, inputs: [dy] }) => {
    const shape = resultShape(node)
    const windows = poolWindows(node, shape)
    const [spatial, counts] = [shape.slice(2), dy!.shape.slice(2)]
    const taps = listTaps(spatial, counts, windows)
    const sizes = windowSizes(node, spatial, counts, windows)
    const values = toNumbers(dy!)
    const dx = new Float64Array(elementCount(shape))
    const [xPlane, yPlane] = [elementCount(spatial), elementCount(counts)]
    for (let plane = 0; plane < shape[0] * shape[1]; plane++)
      for (let t = 0; t < taps.output.length; t++) {
        const o = taps.output[t]
        dx[plane * xPlane + taps.input[t]] += values[plane * yPlane + o] / sizes[o]
      }
    return [fromNumbers(dy!.dtype, shape, dx)]
  },
  gradient: ({ node, outputGradients: [g], emit }) => {
    const { shape: _, ...attributes } = node.attributes
    return [emit('AveragePool', [g], attributes)]
  },
  samples: [
    {
      name: 'padded',
      inputs: [noise(1, [1, 2, 4, 4])],
      attributes: poolSample([3, 3], [2, 2], [1, 1, 1, 1], 0, 0, [1, 2, 7, 7]),
    },
    {
      name: 'count_include_pad',
      inputs: [noise(1, [1, 2, 4, 3])],
      attributes: poolSample([3, 3], [2, 2], [1, 0, 2, 1], 0, 1, [1, 2, 7, 7]),
    },
    {
      name: 'ceil_mode',
      inputs: [noise(1, [1, 2, 3, 3])],
      attributes: poolSample([3, 3], [2, 2], [0, 0, 0, 0], 1, 0, [1, 2, 6, 7]),
    },
    {
      name: 'whole image',
      inputs: [noise(1, [2, 3, 1, 1])],
      attributes: poolSample([4, 5], [1, 1], [0, 0, 0, 0], 0, 0, [2, 3, 4, 5]),
    },
    {
      name: 'one-dimensional',
      inputs: [noise(1, [2, 2, 2])],
      attributes: poolSample([4], [3], [0, 0], 0, 0, [2, 2, 9]),
    },
  ],
})

function poolSample(
  kernel: number[],
  strides: number[],
  pads: number[],
  ceil: number,
  includePad: number,
  shape: number[],
) {
  const dilations = kernel.map(() => 1)
  return { kernel_shape: kernel, strides, pads, dilations, ceil_mode: ceil, count_include_pad: includePad, shape }
}
