import { fromNumbers, toNumbers } from '../../tensor/elements.ts'
import { float32 } from '../../tensor/tensor.ts'
import { alongAxis, centred } from '../families/integer-products.ts'
import { matrixProduct, multiply } from '../families/matrices.ts'
import { integerNoise, positiveNoise } from '../families/noise.ts'
import { toCodes, zeroPoints } from '../families/quantization.ts'
import { defineOperator, memoryCost } from '../operator.ts'

/**
 * The product of two quantized operands, quantized: inputs a, its scale and zero point, b, its own, and those of y.
 * Scale and zero point of a may be one a row, of b one a column. y has the type of its zero point.
 * Cost: batch * rows * inner * columns multiply-accumulates.
 */
export const qlinearMatmul = defineOperator({
  type: 'QLinearMatMul',
  since: 21,
  summary: 'Multiplies quantized matrices into a quantized matrix.',
  infer: ({ node, inputs }) => {
    const [a, b, zero] = [inputs[0], inputs[3], inputs[7]]
    const dtype = zero?.dtype ?? a?.dtype ?? 'uint8'
    return [a?.shape && b?.shape ? { dtype, shape: matrixProduct(node, a.shape, b.shape).shape } : { dtype }]
  },
  evaluate: ({ node, inputs }) => {
    const [a, aScale, aZero, b, bScale, bZero, yScale, yZero] = inputs
    const product = matrixProduct(node, a!.shape, b!.shape)
    const sums = multiply(centred(a!, aZero, -2), centred(b!, bZero, -1), product)
    const [scaleA, scaleB] = [toNumbers(aScale!), toNumbers(bScale!)]
    const [rowOf, columnOf] = [alongAxis(aScale!, product.shape, -2), alongAxis(bScale!, product.shape, -1)]
    const target = toNumbers(yScale!)[0]
    const ratios = sums.map((sum, i) => Math.fround((sum * scaleA[rowOf(i)] * scaleB[columnOf(i)]) / target))
    return [
      toCodes(
        yZero!.dtype,
        product.shape,
        ratios,
        zeroPoints(yZero, () => 0),
      ),
    ]
  },
  cost: (context) => {
    const [a, b] = [context.inputs[0]!, context.inputs[3]!]
    const { inner, batch, rows, columns } = matrixProduct(context.node, a.shape, b.shape)
    return { ...memoryCost(context), macs: [...batch, rows, columns].reduce((product, size) => product * size, inner) }
  },
  differentiable: 'none',
  samples: [
    {
      name: 'per tensor',
      inputs: [
        integerNoise(1, 'uint8', [2, 3, 4], 0, 255),
        float32([0.013], []),
        fromNumbers('uint8', [], [120]),
        integerNoise(2, 'uint8', [4, 2], 0, 255),
        float32([0.021], []),
        fromNumbers('uint8', [], [100]),
        float32([0.11], []),
        fromNumbers('uint8', [], [128]),
      ],
    },
    {
      name: 'a scale a column',
      inputs: [
        integerNoise(1, 'uint8', [3, 4], 0, 255),
        float32([0.013], []),
        fromNumbers('uint8', [], [120]),
        integerNoise(2, 'int8', [4, 2], -128, 127),
        positiveNoise(3, [2], 0.01),
        fromNumbers('int8', [2], [0, 0]),
        float32([1.3], []),
        fromNumbers('uint8', [], [128]),
      ],
    },
  ],
})
