import { fromNumbers, toNumbers } from '../../tensor/elements.ts'
import { elementCount, int64, type Tensor } from '../../tensor/tensor.ts'
import { noise } from '../families/noise.ts'
import { findMaxima } from '../families/maxima.ts'
import { defineOperator, type Sample } from '../operator.ts'
import { poolWindows } from '../families/pooling.ts'
import { resultShape } from '../windows.ts'

/**
 * The gradient of MaxPool: dy and y [batch, channels, ...windows], x [batch, channels, ...spatial] -> dx, of x's shape.
 * Attributes: the forward node's kernel_shape, strides, pads (explicit), dilations, ceil_mode, and `shape`, x's shape.
 * Where elements of a window tie for the maximum, any of them may get its gradient; this evaluation takes the first.
 * Linear in dy: its own gradient gathers at the maxima. By x and y it is zero wherever it exists.
 */
export const maxPoolGrad = defineOperator({
  type: 'MaxPoolGrad',
  domain: 'espalier',
  since: 1,
  summary: 'Carries the gradient of a maximum over windows back to the largest element of each.',
  infer: ({ node, inputs: [dy] }) => [{ dtype: dy?.dtype ?? 'float32', shape: resultShape(node) }],
  evaluate: ({ node, inputs: [dy, x] }) => {
    const { indices } = findMaxima(toNumbers(x!), x!.shape, dy!.shape, poolWindows(node, x!.shape))
    const gradients = toNumbers(dy!)
    const dx = new Float64Array(elementCount(x!.shape))
    indices.forEach((index, at) => {
      dx[index] += gradients[at]
    })
    return [fromNumbers(dy!.dtype, x!.shape, dx)]
  },
  gradient: ({ node, inputs: [, x], outputGradients: [g], wants, emit, emitMany, literal }) => {
    if (!wants(0)) return []
    const { shape: _, ...attributes } = node.attributes
    const [, indices] = emitMany('MaxPool', [x], 2, attributes)
    return [emit('Gather', [emit('Reshape', [g, literal(int64([-1]))]), indices], { axis: 0 })]
  },
  samples: [
    sample('non-overlapping', noise(2, [1, 2, 4, 6]), [1, 2, 2, 3], {
      kernel_shape: [2, 2],
      strides: [2, 2],
      pads: [0, 0, 0, 0],
    }),
    sample('overlapping, padded', noise(3, [1, 2, 7, 7]), [1, 2, 4, 4], {
      kernel_shape: [3, 3],
      strides: [2, 2],
      pads: [1, 1, 1, 1],
    }),
    sample('ceil_mode', noise(4, [1, 1, 6, 7]), [1, 1, 3, 3], {
      kernel_shape: [3, 3],
      strides: [2, 2],
      pads: [0, 0, 0, 0],
      ceil_mode: 1,
    }),
    sample('one-dimensional', noise(5, [2, 2, 9]), [2, 2, 4], { kernel_shape: [3], strides: [2], pads: [0, 0] }),
  ],
})

function sample(
  name: string,
  x: Tensor<'float32'>,
  y: readonly number[],
  attributes: { kernel_shape: number[]; strides: number[]; pads: number[]; ceil_mode?: number },
): Sample {
  const { kernel_shape: kernel, strides, pads } = attributes
  const windows = {
    kernel,
    strides,
    dilations: kernel.map(() => 1),
    begin: pads.slice(0, kernel.length),
    end: pads.slice(kernel.length),
  }
  const { maxima } = findMaxima(x.data, x.shape, y, windows)
  return {
    name,
    inputs: [noise(1, y), x, fromNumbers('float32', y, maxima)],
    attributes: { dilations: windows.dilations, ceil_mode: 0, ...attributes, shape: x.shape },
    gradientOf: [0],
  }
}
