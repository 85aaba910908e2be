import { fromNumbers, toNumbers } from '../../tensor/elements.ts'
import { roundEven } from '../../tensor/half.ts'
import { noise, positiveNoise } from '../families/noise.ts'
import { toCodes } from '../families/quantization.ts'
import { defineOperator } from '../operator.ts'

/**
 * Codes of eight bits for the range of x, which is stretched to hold zero: scale = (max - min) / 255, zero point =
 * saturate(round(-min / scale)). x [...any] -> codes [...any], scale [], zero point [].
 */
export const dynamicQuantizeLinear = defineOperator({
  type: 'DynamicQuantizeLinear',
  since: 11,
  summary: 'Quantizes a tensor to eight bits by its own range.',
  infer: ({ inputs: [x] }) => [
    { dtype: 'uint8', shape: x?.shape },
    { dtype: 'float32', shape: [] },
    { dtype: 'uint8', shape: [] },
  ],
  evaluate: ({ inputs: [x] }) => {
    const values = toNumbers(x!)
    let [low, high] = [0, 0]
    for (const value of values) {
      low = Math.min(low, value)
      high = Math.max(high, value)
    }
    const scale = Math.fround(Math.fround(high - low) / 255) || 1
    const zero = Math.min(255, Math.max(0, roundEven(Math.fround(-low / scale))))
    const ratios = values.map((value) => Math.fround(value / scale))
    return [
      toCodes('uint8', x!.shape, ratios, () => zero),
      fromNumbers('float32', [], [scale]),
      fromNumbers('uint8', [], [zero]),
    ]
  },
  differentiable: 'none',
  samples: [
    { name: 'both signs', inputs: [noise(1, [3, 4])], outputs: 3 },
    { name: 'positive', inputs: [positiveNoise(2, [2, 5])], outputs: 3 },
  ],
})
