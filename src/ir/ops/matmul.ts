import { fromNumbers, toNumbers } from '../../tensor/elements.ts'
import { int64 } from '../../tensor/tensor.ts'
import { noise } from '../families/noise.ts'
import { matrixProduct, multiply } from '../families/matrices.ts'
import { defineOperator, memoryCost, type ChannelTie, type CostContext, type GradientContext } from '../operator.ts'

/**
 * Product of stacks of matrices: [...batch, rows, inner] * [...batch, inner, columns] -> [...batch, rows, columns].
 * Vectors count as one row (left) or one column (right); the batch axes broadcast.
 * Cost: batch * rows * inner * columns multiply-accumulates.
 */
export const matmul = defineOperator({
  type: 'MatMul',
  since: 13,
  summary: 'Multiplies matrices, stacks of matrices and vectors, as numpy.matmul does.',
  parameters: [1],
  infer: ({ node, inputs: [a, b] }) => {
    const dtype = a?.dtype ?? b?.dtype ?? 'float32'
    return [a?.shape && b?.shape ? { dtype, shape: matrixProduct(node, a.shape, b.shape).shape } : { dtype }]
  },
  evaluate: ({ node, inputs: [a, b] }) => {
    const product = matrixProduct(node, a!.shape, b!.shape)
    return [fromNumbers(a!.dtype, product.shape, multiply(toNumbers(a!), toNumbers(b!), product))]
  },
  gradient,
  cost: (context) => {
    const [a, b] = context.inputs
    const { inner, batch, rows, columns } = matrixProduct(context.node, a!.shape, b!.shape)
    return { ...memoryCost(context), macs: [...batch, rows, columns].reduce((product, size) => product * size, inner) }
  },
  coupling,
  samples: [
    { name: 'matrices', inputs: [noise(1, [3, 4]), noise(2, [4, 5])] },
    { name: 'batch by matrix', inputs: [noise(1, [2, 3, 4]), noise(2, [4, 5])] },
    { name: 'broadcast batches', inputs: [noise(1, [2, 1, 3, 4]), noise(2, [3, 4, 2])] },
    { name: 'matrix by batch', inputs: [noise(1, [3, 4]), noise(2, [2, 4, 5])] },
    { name: 'vector by matrix', inputs: [noise(1, [4]), noise(2, [4, 3])] },
    { name: 'batch by vector', inputs: [noise(1, [2, 3, 4]), noise(2, [4])] },
    { name: 'vectors', inputs: [noise(1, [4]), noise(2, [4])] },
  ],
})

function gradient(context: GradientContext): (string | undefined)[] {
  const { node, inputs, outputGradients, wants, shape, emit, literal, unbroadcast } = context
  const [a, b] = inputs as [string, string]
  const product = matrixProduct(node, shape(a), shape(b))
  const { left, right, batch, rows, inner, columns } = product
  const reshape = (value: string, to: readonly number[]) =>
    sameShape(shape(value), to) ? value : emit('Reshape', [value, literal(int64([...to]))])
  const transpose = (value: string) => {
    const rank = shape(value).length
    const perm = Array.from({ length: rank }, (_, axis) => (axis < rank - 2 ? axis : 2 * rank - 3 - axis))
    return emit('Transpose', [value], { perm })
  }
  const x = reshape(a, left)
  const w = reshape(b, right)
  const dy = reshape(outputGradients[0]!, [...batch, rows, columns])
  const byA = () => reshape(unbroadcast(emit('MatMul', [dy, transpose(w)]), left), shape(a))
  const byB = () => {
    if (right.length > 2) return reshape(unbroadcast(emit('MatMul', [transpose(x), dy]), right), shape(b))
    const flatX = reshape(x, [left.slice(0, -1).reduce((count, size) => count * size, 1), inner])
    const flatDy = reshape(dy, [shape(flatX)[0], columns])
    return reshape(emit('Gemm', [flatX, flatDy], { transA: 1, transB: 0 }), shape(b))
  }
  return [wants(0) ? byA() : undefined, wants(1) ? byB() : undefined]
}

function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((size, axis) => size === b[axis])
}

/** Inner, rows and columns tie as in a product of matrices; equal batch axes tie across all three. */
function coupling({ inputs, outputs }: CostContext): ChannelTie[] {
  const [a, b] = inputs.map((input) => input!.shape)
  const rank = outputs[0].shape.length
  const ties: ChannelTie[] = [
    {
      ports: [
        { side: 'input', index: 0, axis: a.length - 1 },
        { side: 'input', index: 1, axis: Math.max(0, b.length - 2) },
      ],
    },
  ]
  if (b.length > 1)
    ties.push({
      ports: [
        { side: 'input', index: 1, axis: b.length - 1 },
        { side: 'output', index: 0, axis: rank - 1 },
      ],
    })
  if (a.length > 1)
    ties.push({
      ports: [
        { side: 'input', index: 0, axis: a.length - 2 },
        { side: 'output', index: 0, axis: b.length > 1 ? rank - 2 : rank - 1 },
      ],
    })
  return [...ties, ...batchTies(a, b, outputs[0].shape)]
}

function batchTies(a: readonly number[], b: readonly number[], y: readonly number[]): ChannelTie[] {
  const batchRank = y.length - (a.length > 1 ? 1 : 0) - (b.length > 1 ? 1 : 0)
  return Array.from({ length: batchRank }, (_, axis) => {
    const ports = [a, b].flatMap((shape, index) => {
      const own = axis - (batchRank - Math.max(0, shape.length - 2))
      return own >= 0 && shape[own] === y[axis] ? [{ side: 'input' as const, index, axis: own }] : []
    })
    return { ports: [...ports, { side: 'output' as const, index: 0, axis }] }
  })
}
