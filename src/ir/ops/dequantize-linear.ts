import { UnsupportedError } from '../../errors.ts'
import { fromNumbers, toNumbers } from '../../tensor/elements.ts'
import { elementCount, float32, int64 } from '../../tensor/tensor.ts'
import { granularityOf, quantizationTies, scaleIndices, zeroPoints } from '../families/quantization.ts'
import { integerNoise, positiveNoise } from '../families/noise.ts'
import { defineOperator, type GradientContext } from '../operator.ts'

/**
 * y = (x - zero point) * scale, of the scale's type; scale and zero point for the whole tensor, for each index of
 * `axis`, or for blocks of `block_size` along it. The gradient by the scale sums dy * (x - zero point) over what it scales.
 */
export const dequantizeLinear = defineOperator({
  type: 'DequantizeLinear',
  since: 21,
  summary: 'Turns integer codes back into numbers by a scale and a zero point.',
  parameters: [1],
  infer: ({ node, inputs: [x, scale] }) => {
    if (x?.shape && scale?.shape) granularityOf(node, x.shape, scale.shape)
    return [{ dtype: scale?.dtype ?? 'float32', shape: x?.shape }]
  },
  evaluate: ({ node, inputs: [x, scale, zeroPoint] }) => {
    const at = scaleIndices(granularityOf(node, x!.shape, scale!.shape), x!.shape)
    const scales = toNumbers(scale!)
    const zero = zeroPoints(zeroPoint, at)
    const values = toNumbers(x!).map((code, i) => (code - zero(i)) * scales[at(i)])
    return [fromNumbers(scale!.dtype, x!.shape, values)]
  },
  gradient,
  coupling: quantizationTies,
  samples: [
    {
      name: 'per tensor',
      inputs: [integerNoise(1, 'uint8', [2, 5], 0, 255), float32([0.05], []), fromNumbers('uint8', [], [120])],
    },
    { name: 'no zero point', inputs: [integerNoise(1, 'int8', [2, 5], -128, 127), float32([0.1], [])] },
    {
      name: 'per axis',
      inputs: [
        integerNoise(1, 'int8', [2, 3, 4], -128, 127),
        positiveNoise(2, [3], 0.01),
        fromNumbers('int8', [3], [0, -3, 5]),
      ],
      attributes: { axis: 1 },
    },
    {
      name: 'per output channel of a kernel',
      inputs: [integerNoise(1, 'int8', [3, 2, 2, 2], -128, 127), positiveNoise(2, [3], 0.01)],
      attributes: { axis: 0 },
    },
    {
      name: 'blocked',
      inputs: [
        integerNoise(1, 'uint8', [2, 6], 0, 255),
        positiveNoise(2, [2, 3], 0.01),
        fromNumbers('uint8', [2, 3], [1, 2, 3, 4, 5, 6]),
      ],
      attributes: { axis: 1, block_size: 2 },
    },
    {
      name: 'int16',
      inputs: [integerNoise(1, 'int16', [2, 5], -3000, 3000), float32([0.01], []), fromNumbers('int16', [], [7])],
    },
    { name: 'int4', inputs: [integerNoise(1, 'int4', [3, 3], -8, 7), float32([0.25], [])] },
    {
      name: 'uint4 blocked along rows',
      inputs: [
        integerNoise(1, 'uint4', [4, 3], 0, 15),
        positiveNoise(2, [2, 3]),
        integerNoise(3, 'uint4', [2, 3], 6, 9),
      ],
      attributes: { axis: 0, block_size: 2 },
    },
    { name: 'int32', inputs: [integerNoise(1, 'int32', [4], -70000, 70000), float32([0.001], [])] },
  ],
})

function gradient(context: GradientContext): (string | undefined)[] {
  const { node, inputs, outputGradients, wants, shape, dtype, emit, literal } = context
  const [x, scale, zeroPoint] = inputs as [string, string, string | undefined]
  if (!wants(1)) return []
  const granularity = granularityOf(node, shape(x), shape(scale))
  const ones = literal(fromNumbers(dtype(scale), shape(scale), new Float64Array(elementCount(shape(scale))).fill(1)))
  const codes = emit('DequantizeLinear', [x, ones, ...(zeroPoint ? [zeroPoint] : [])], node.attributes)
  const product = emit('Mul', [outputGradients[0], codes])
  const all = shape(x).map((_, axis) => axis)
  const sum = (value: string, axes: number[]) =>
    axes.length === 0 ? value : emit('ReduceSum', [value, literal(int64(axes))], { keepdims: 0 })
  if (granularity.kind === 'tensor') {
    const total = sum(product, all)
    return [undefined, shape(scale).length === 0 ? total : emit('Reshape', [total, literal(int64([...shape(scale)]))])]
  }
  const { axis } = granularity
  if (granularity.kind === 'axis')
    return [
      undefined,
      sum(
        product,
        all.filter((other) => other !== axis),
      ),
    ]
  const size = shape(x)[axis]
  if (size % granularity.size !== 0)
    throw new UnsupportedError('gradient-block', `blocks of ${granularity.size} leave a rest of ${size}`, {
      place: node.name,
    })
  const blocked = [...shape(x).slice(0, axis), size / granularity.size, granularity.size, ...shape(x).slice(axis + 1)]
  return [undefined, sum(emit('Reshape', [product, literal(int64(blocked))]), [axis + 1])]
}
