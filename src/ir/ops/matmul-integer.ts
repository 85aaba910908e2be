import { fromNumbers } from '../../tensor/elements.ts'
import { centred } from '../families/integer-products.ts'
import { matrixProduct, multiply } from '../families/matrices.ts'
import { integerNoise } from '../families/noise.ts'
import { defineOperator, memoryCost } from '../operator.ts'

/**
 * The product of codes, each minus its zero point, as int32: [...batch, rows, inner] * [...batch, inner, columns]. The
 * zero point of a may be one a row, that of b one a column.
 * Cost: batch * rows * inner * columns multiply-accumulates.
 */
export const matmulInteger = defineOperator({
  type: 'MatMulInteger',
  since: 10,
  summary: 'Multiplies matrices of eight-bit codes into 32-bit integers.',
  infer: ({ node, inputs: [a, b] }) => [
    a?.shape && b?.shape ? { dtype: 'int32', shape: matrixProduct(node, a.shape, b.shape).shape } : { dtype: 'int32' },
  ],
  evaluate: ({ node, inputs: [a, b, aZero, bZero] }) => {
    const product = matrixProduct(node, a!.shape, b!.shape)
    return [fromNumbers('int32', product.shape, multiply(centred(a!, aZero, -2), centred(b!, bZero, -1), product))]
  },
  cost: (context) => {
    const [a, b] = context.inputs
    const { inner, batch, rows, columns } = matrixProduct(context.node, a!.shape, b!.shape)
    return { ...memoryCost(context), macs: [...batch, rows, columns].reduce((product, size) => product * size, inner) }
  },
  differentiable: 'none',
  samples: [
    {
      name: 'zero points',
      inputs: [
        integerNoise(1, 'uint8', [3, 4], 0, 255),
        integerNoise(2, 'int8', [4, 2], -128, 127),
        fromNumbers('uint8', [], [120]),
        fromNumbers('int8', [], [3]),
      ],
    },
    {
      name: 'a zero point a column',
      inputs: [
        integerNoise(1, 'uint8', [2, 3, 4], 0, 255),
        integerNoise(2, 'uint8', [4, 2], 0, 255),
        fromNumbers('uint8', [], [7]),
        fromNumbers('uint8', [2], [3, 200]),
      ],
    },
    {
      name: 'no zero points',
      inputs: [integerNoise(1, 'uint8', [3, 4], 0, 255), integerNoise(2, 'uint8', [4, 2], 0, 255)],
    },
  ],
})
