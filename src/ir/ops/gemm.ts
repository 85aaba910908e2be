import { fromNumbers, toNumbers } from '../../tensor/elements.ts'
import { float32 } from '../../tensor/tensor.ts'
import { noise } from '../families/noise.ts'
import { float } from '../draft.ts'
import { floatAttribute, intAttribute, type Dim, type Node } from '../model.ts'
import { defineOperator, memoryCost, type ChannelPort } from '../operator.ts'
import { windowError } from '../windows.ts'

/**
 * y = alpha * A' * B' + beta * C, where A' [rows, inner] and B' [inner, columns] are A and B, transposed if transA and
 * transB say so, and C broadcasts to y [rows, columns].
 * Cost: rows * inner * columns multiply-accumulates.
 */
export const gemm = defineOperator({
  type: 'Gemm',
  since: 13,
  summary: 'Multiplies two matrices and adds a third: the fully connected layer.',
  parameters: [1, 2],
  infer: ({ node, inputs: [a, b] }) => {
    const dtype = a?.dtype ?? b?.dtype ?? 'float32'
    if (!a?.shape || !b?.shape) return [{ dtype }]
    const [rows, inner] = oriented(node, 'transA', a.shape)
    const [innerB, columns] = oriented(node, 'transB', b.shape)
    if (typeof inner === 'number' && typeof innerB === 'number' && inner !== innerB)
      throw windowError(node, `rows of ${inner} do not fit columns of ${innerB}`)
    return [{ dtype, shape: [rows, columns] }]
  },
  evaluate: ({ node, inputs: [a, b, c] }) => {
    const [rows, inner] = oriented(node, 'transA', a!.shape)
    const [, columns] = oriented(node, 'transB', b!.shape)
    const [x, w] = [toNumbers(a!), toNumbers(b!)]
    const alpha = floatAttribute(node, 'alpha', 1)
    const [xRow, xColumn] = intAttribute(node, 'transA', 0) ? [1, rows] : [inner, 1]
    const [wRow, wColumn] = intAttribute(node, 'transB', 0) ? [1, inner] : [columns, 1]
    const y = new Float64Array(rows * columns)
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < columns; j++) {
        let sum = 0
        for (let k = 0; k < inner; k++) sum += x[i * xRow + k * xColumn] * w[k * wRow + j * wColumn]
        y[i * columns + j] = alpha * sum
      }
    if (c) {
      const beta = floatAttribute(node, 'beta', 1)
      const values = toNumbers(c)
      const width = c.shape.at(-1) ?? 1
      const height = c.shape.length > 1 ? c.shape[0] : 1
      for (let i = 0; i < rows; i++)
        for (let j = 0; j < columns; j++)
          y[i * columns + j] += beta * values[(height === 1 ? 0 : i * width) + (width === 1 ? 0 : j)]
    }
    return [fromNumbers(a!.dtype, [rows, columns], y)]
  },
  gradient: ({ node, inputs: [a, b, c], outputGradients: [dy], wants, shape, emit, literal, unbroadcast }) => {
    const transA = intAttribute(node, 'transA', 0)
    const transB = intAttribute(node, 'transB', 0)
    const alpha = float(floatAttribute(node, 'alpha', 1))
    const beta = floatAttribute(node, 'beta', 1)
    const byA = () =>
      transA
        ? emit('Gemm', [b, dy], { transA: transB, transB: 1, alpha })
        : emit('Gemm', [dy, b], { transA: 0, transB: transB ? 0 : 1, alpha })
    const byB = () =>
      transB
        ? emit('Gemm', [dy, a], { transA: 1, transB: transA, alpha })
        : emit('Gemm', [a, dy], { transA: transA ? 0 : 1, transB: 0, alpha })
    const byC = () => {
      const sum = unbroadcast(dy!, shape(c!))
      return beta === 1 ? sum : emit('Mul', [sum, literal(beta, dy)])
    }
    return [wants(0) ? byA() : undefined, wants(1) ? byB() : undefined, c !== undefined && wants(2) ? byC() : undefined]
  },
  cost: (context) => {
    const [rows, inner] = oriented(context.node, 'transA', context.inputs[0]!.shape)
    return { ...memoryCost(context), macs: rows * inner * context.outputs[0].shape[1] }
  },
  coupling: ({ node, inputs: [, , c] }) => {
    const transA = intAttribute(node, 'transA', 0)
    const transB = intAttribute(node, 'transB', 0)
    const bias: ChannelPort[] =
      c && c.shape.length > 0 && c.shape.at(-1) !== 1 ? [{ side: 'input', index: 2, axis: c.shape.length - 1 }] : []
    return [
      {
        ports: [
          { side: 'input', index: 0, axis: transA ? 0 : 1 },
          { side: 'input', index: 1, axis: transB ? 1 : 0 },
        ],
      },
      {
        ports: [{ side: 'input', index: 1, axis: transB ? 0 : 1 }, ...bias, { side: 'output', index: 0, axis: 1 }],
      },
    ]
  },
  samples: [
    { name: 'fully connected', inputs: [noise(1, [3, 4]), noise(2, [5, 4]), noise(3, [5])], attributes: { transB: 1 } },
    {
      name: 'both transposed, scaled',
      inputs: [noise(1, [4, 3]), noise(2, [5, 4]), noise(3, [3, 1])],
      attributes: { transA: 1, transB: 1, alpha: float(0.5), beta: float(-2) },
    },
    {
      name: 'A transposed, scalar C',
      inputs: [noise(1, [4, 3]), noise(2, [4, 2]), float32([0.3], [])],
      attributes: { transA: 1, alpha: float(1.5), beta: float(0.25) },
    },
    { name: 'no C', inputs: [noise(1, [2, 3]), noise(2, [3, 4])] },
    { name: 'full C', inputs: [noise(1, [2, 3]), noise(2, [3, 4]), noise(3, [2, 4])] },
  ],
})

function oriented<D extends Dim>(node: Node, attribute: string, shape: readonly D[]): [D, D] {
  if (shape.length !== 2) throw windowError(node, `it multiplies matrices, not a value with ${shape.length} axes`)
  return intAttribute(node, attribute, 0) ? [shape[1], shape[0]] : [shape[0], shape[1]]
}
