import { fromNumbers, toNumbers } from '../../tensor/elements.ts'
import { elementCount, int64 } from '../../tensor/tensor.ts'
import { noise } from '../families/noise.ts'
import { intAttribute, type Dim } from '../model.ts'
import { defineOperator } from '../operator.ts'
import { inferPool, poolAttributes, poolTies, poolWindows } from '../families/pooling.ts'
import { findMaxima } from '../families/maxima.ts'

/**
 * The largest element of each window: x [batch, channels, ...spatial] -> y [batch, channels, ...windows], and on demand
 * its flat index in x (counted along columns when storage_order is 1).
 * Its gradient is an `espalier.MaxPoolGrad`.
 */
export const maxPool = defineOperator({
  type: 'MaxPool',
  since: 12,
  summary: 'Keeps the largest element of each window.',
  infer: ({ node, inputs: [x] }) => {
    const y = inferPool(node, x)
    return node.outputs.length > 1 ? [y, y && { ...y, dtype: 'int64' }] : [y]
  },
  evaluate: ({ node, inputs: [x] }) => {
    const shape = inferPool(node, x)!.shape as number[]
    const values = toNumbers(x!)
    const { maxima, indices } = findMaxima(values, x!.shape, shape, poolWindows(node, x!.shape))
    const y = fromNumbers(x!.dtype, shape, maxima)
    if (node.outputs.length < 2) return [y]
    const order = intAttribute(node, 'storage_order', 0) === 1 ? columnMajor(x!.shape) : (index: number) => index
    return [y, int64(Array.from(indices, order), shape)]
  },
  gradient: ({ node, inputs: [x], outputs, outputGradients: [dy], shape, emit }) => [
    dy === undefined
      ? undefined
      : emit('espalier.MaxPoolGrad', [dy, x, outputs[0]], { ...poolAttributes(node, shape(x!)), shape: shape(x!) }),
  ],
  coupling: poolTies,
  samples: [
    {
      name: 'non-overlapping',
      inputs: [noise(1, [2, 3, 4, 6])],
      attributes: { kernel_shape: [2, 2], strides: [2, 2] },
    },
    {
      name: 'overlapping, padded',
      inputs: [noise(2, [1, 2, 7, 7])],
      attributes: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] },
    },
    {
      name: 'ceil_mode',
      inputs: [noise(3, [1, 2, 6, 7])],
      attributes: { kernel_shape: [3, 3], strides: [2, 2], ceil_mode: 1 },
    },
    {
      name: 'dilation, asymmetric pads',
      inputs: [noise(4, [1, 1, 8, 9])],
      attributes: { kernel_shape: [3, 2], dilations: [2, 3], pads: [1, 0, 2, 1] },
    },
    {
      name: 'one-dimensional with indices',
      inputs: [noise(5, [2, 2, 9])],
      attributes: { kernel_shape: [3], strides: [2] },
      outputs: 2,
    },
    {
      name: 'SAME_LOWER',
      inputs: [noise(6, [1, 2, 5, 6])],
      attributes: { kernel_shape: [2, 3], strides: [2, 2], auto_pad: 'SAME_LOWER' },
    },
    {
      name: 'column-major indices',
      inputs: [noise(7, [1, 2, 4, 6])],
      attributes: { kernel_shape: [2, 2], strides: [2, 2], storage_order: 1 },
      outputs: 2,
    },
    { name: 'three-dimensional', inputs: [noise(8, [1, 1, 3, 4, 4])], attributes: { kernel_shape: [2, 2, 2] } },
  ],
})

/** Re-counts a row-major flat index with the spatial axes in reverse order of speed. */
function columnMajor(shape: readonly Dim[]): (index: number) => number {
  const spatial = shape.slice(2) as number[]
  const plane = elementCount(spatial)
  return (index) => {
    let rest = index % plane
    let result = 0
    let step = plane
    for (let axis = spatial.length - 1; axis >= 0; axis--) {
      step /= spatial[axis]
      result += (rest % spatial[axis]) * step
      rest = Math.floor(rest / spatial[axis])
    }
    return index - (index % plane) + result
  }
}
