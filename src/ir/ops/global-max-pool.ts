import { fromNumbers, toNumbers } from '../../tensor/elements.ts'
import { elementCount } from '../../tensor/tensor.ts'
import { noise } from '../families/noise.ts'
import { defineOperator } from '../operator.ts'
import { globalPoolAttributes, inferGlobalPool, poolTies } from '../families/pooling.ts'

/** The largest element of each channel's plane: [batch, channels, ...spatial] -> [batch, channels, ...1]. */
export const globalMaxPool = defineOperator({
  type: 'GlobalMaxPool',
  since: 1,
  summary: 'Keeps the largest element of each channel.',
  infer: ({ inputs: [x] }) => [inferGlobalPool(x)],
  evaluate: ({ inputs: [x] }) => {
    const shape = inferGlobalPool(x)!.shape as number[]
    const plane = elementCount(x!.shape.slice(2))
    const y = new Float64Array(elementCount(shape)).fill(Number.NEGATIVE_INFINITY)
    toNumbers(x!).forEach((value, i) => {
      const channel = Math.floor(i / plane)
      y[channel] = Math.max(y[channel], value)
    })
    return [fromNumbers(x!.dtype, shape, y)]
  },
  gradient: ({ inputs: [x], outputs, outputGradients: [dy], shape, emit }) => [
    emit('espalier.MaxPoolGrad', [dy, x, outputs[0]], globalPoolAttributes(shape(x!))),
  ],
  coupling: poolTies,
  samples: [
    { name: 'planes', inputs: [noise(1, [2, 3, 4, 5])] },
    { name: 'one-dimensional', inputs: [noise(2, [2, 3, 7])] },
  ],
})
