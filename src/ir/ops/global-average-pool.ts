import { fromNumbers, toNumbers } from '../../tensor/elements.ts'
import { elementCount } from '../../tensor/tensor.ts'
import { noise } from '../families/noise.ts'
import { defineOperator } from '../operator.ts'
import { globalPoolAttributes, inferGlobalPool, poolTies } from '../families/pooling.ts'

/** The mean of each channel's plane: [batch, channels, ...spatial] -> [batch, channels, ...1]. */
export const globalAveragePool = defineOperator({
  type: 'GlobalAveragePool',
  since: 1,
  summary: 'Averages each channel over all of its positions.',
  infer: ({ inputs: [x] }) => [inferGlobalPool(x)],
  evaluate: ({ inputs: [x] }) => {
    const shape = inferGlobalPool(x)!.shape as number[]
    const values = toNumbers(x!)
    const plane = elementCount(x!.shape.slice(2))
    const y = new Float64Array(elementCount(shape))
    values.forEach((value, i) => {
      y[Math.floor(i / plane)] += value / plane
    })
    return [fromNumbers(x!.dtype, shape, y)]
  },
  gradient: ({ inputs: [x], outputGradients: [dy], shape, emit }) => [
    emit('espalier.AveragePoolGrad', [dy], { ...globalPoolAttributes(shape(x!)), count_include_pad: 0 }),
  ],
  coupling: poolTies,
  samples: [
    { name: 'planes', inputs: [noise(1, [2, 3, 4, 5])] },
    { name: 'one-dimensional', inputs: [noise(2, [2, 3, 7])] },
    { name: 'three-dimensional', inputs: [noise(3, [1, 2, 2, 3, 2])] },
  ],
})
