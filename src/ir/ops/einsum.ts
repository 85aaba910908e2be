import { UnsupportedError } from '../../errors.ts'
import { fromNumbers, toNumbers } from '../../tensor/elements.ts'
import { elementCount, int64 } from '../../tensor/tensor.ts'
import { labelSizes, readEquation, type Equation } from '../families/einstein.ts'
import { noise } from '../families/noise.ts'
import { defineOperator, memoryCost, type ChannelPort, type ChannelTie, type GradientContext } from '../operator.ts'

/**
 * Multiplies operands along equal labels and sums over the labels that the result does not have.
 * Cost: the product of the sizes of all labels, once for each operand after the first.
 */
export const einsum = defineOperator({
  type: 'Einsum',
  since: 12,
  summary: 'Contracts tensors by an equation of axis labels.',
  infer: ({ node, inputs }) => {
    const dtype = inputs.find((input) => input)?.dtype
    if (!dtype) return [undefined]
    const shapes = inputs.map((input) => input?.shape)
    if (!shapes.every((shape) => shape !== undefined)) return [{ dtype }]
    const equation = readEquation(
      node,
      shapes.map(({ length }) => length),
    )
    const sizes = labelSizes(node, equation, shapes)
    return [{ dtype, shape: equation.result.map((label) => sizes.get(label)!) }]
  },
  evaluate: ({ node, inputs }) => {
    const shapes = inputs.map((input) => input!.shape)
    const equation = readEquation(
      node,
      shapes.map(({ length }) => length),
    )
    const sizes = labelSizes(node, equation, shapes)
    const shape = equation.result.map((label) => sizes.get(label)!)
    const values = inputs.map((input) => toNumbers(input!))
    return [fromNumbers(inputs[0]!.dtype, shape, contract(values, shapes, shape, equation, sizes))]
  },
  gradient,
  cost: (context) => {
    const shapes = context.inputs.map((input) => input!.shape)
    const ranks = shapes.map(({ length }) => length)
    const sizes = labelSizes(context.node, readEquation(context.node, ranks), shapes)
    return { ...memoryCost(context), macs: elementCount([...sizes.values()]) * (shapes.length - 1) }
  },
  /** A label is one set of channels, summed over where the result does not have it; not so one that an operand repeats. */
  coupling: ({ node, inputs, outputs: [y] }) => {
    const shapes = inputs.map((input) => input!.shape)
    const equation = readEquation(
      node,
      shapes.map(({ length }) => length),
    )
    return [...labelSizes(node, equation, shapes)].flatMap(([label, size]): ChannelTie[] => {
      if (equation.operands.some((own) => own.indexOf(label) !== own.lastIndexOf(label))) return []
      const read = equation.operands.flatMap((own, index): ChannelPort[] => {
        const axis = own.indexOf(label)
        return axis >= 0 && shapes[index][axis] === size ? [{ side: 'input', index, axis }] : []
      })
      const axis = equation.result.indexOf(label)
      const made: ChannelPort[] = axis >= 0 && y.shape[axis] === size ? [{ side: 'output', index: 0, axis }] : []
      return [{ ports: [...read, ...made] }]
    })
  },
  samples: [
    { name: 'matrix product', inputs: [noise(1, [2, 3]), noise(2, [3, 4])], attributes: { equation: 'ij,jk->ik' } },
    {
      name: 'attention scores',
      inputs: [noise(1, [2, 3, 2, 4]), noise(2, [2, 5, 2, 4])],
      attributes: { equation: 'bqhd,bkhd->bhqk' },
    },
    { name: 'implicit result', inputs: [noise(1, [3, 2]), noise(2, [3, 4])], attributes: { equation: 'ji,jk' } },
    {
      name: 'ellipsis, broadcast',
      inputs: [noise(1, [2, 1, 3, 4]), noise(2, [2, 5, 4, 2])],
      attributes: { equation: '...ij,...jk->...ik' },
    },
    { name: 'sum over rows', inputs: [noise(1, [3, 4])], attributes: { equation: 'ij->j' } },
    {
      name: 'three operands',
      inputs: [noise(1, [2]), noise(2, [2, 3]), noise(3, [3])],
      attributes: { equation: 'i,ij,j->' },
    },
  ],
})

/** Walks over all combinations of label values, with a stride a label and operand. */
function contract(
  values: readonly Float64Array[],
  shapes: readonly (readonly number[])[],
  shape: readonly number[],
  { operands, result }: Equation,
  sizes: ReadonlyMap<string, number>,
): Float64Array {
  const names = [...sizes.keys()]
  const strides = [...operands, result].map((list, operand) => stridesOf(list, shapes[operand] ?? shape, names))
  const total = new Float64Array(elementCount(shape))
  const at = strides.map(() => 0)
  const visit = (depth: number) => {
    if (depth === names.length) {
      let product = 1
      for (let operand = 0; operand < values.length; operand++) product *= values[operand][at[operand]]
      total[at[values.length]] += product
      return
    }
    const size = sizes.get(names[depth])!
    for (let i = 0; i < size; i++) {
      visit(depth + 1)
      for (let k = 0; k < at.length; k++) at[k] += strides[k][depth]
    }
    for (let k = 0; k < at.length; k++) at[k] -= strides[k][depth] * size
  }
  visit(0)
  return total
}

/** By how much a step of each label moves the flat index; axes of size 1 repeat. A label on two axes takes the diagonal. */
function stridesOf(list: readonly string[], shape: readonly number[], names: readonly string[]): number[] {
  return names.map((name) =>
    list.reduce(
      (sum, label, axis) => (label === name && shape[axis] !== 1 ? sum + elementCount(shape.slice(axis + 1)) : sum),
      0,
    ),
  )
}

/** dX = the contraction of dy with the other operands, repeated along the labels that only X has. */
function gradient(context: GradientContext): (string | undefined)[] {
  const { node, outputGradients, wants, shape, emit, literal, unbroadcast } = context
  const inputs = context.inputs as readonly string[]
  const shapes = inputs.map(shape)
  const equation = readEquation(
    node,
    shapes.map(({ length }) => length),
  )
  const sizes = labelSizes(node, equation, shapes)
  const letters = new Map([...sizes.keys()].map((label, i) => [label, String.fromCodePoint(97 + i)]))
  const term = (list: readonly string[]) => list.map((label) => letters.get(label)!).join('')
  if (letters.size > 26) throw new UnsupportedError('einsum-labels', 'more than 26 labels', { place: node.name })
  return inputs.map((input, index) => {
    if (!wants(index)) return undefined
    const own = equation.operands[index]
    if (new Set(own).size !== own.length)
      throw new UnsupportedError('einsum-diagonal', 'the gradient of a diagonal is not supported', { place: node.name })
    const others = inputs.filter((_, i) => i !== index)
    const otherLabels = equation.operands.filter((_, i) => i !== index)
    const reached = own.filter((label) => [equation.result, ...otherLabels].some((list) => list.includes(label)))
    const text = `${[equation.result, ...otherLabels].map(term).join(',')}->${term(reached)}`
    let dx = emit('Einsum', [outputGradients[0], ...others], { equation: text })
    if (reached.length < own.length) {
      const kept = own.map((label) => (reached.includes(label) ? sizes.get(label)! : 1))
      dx = emit('Reshape', [dx, literal(int64(kept))])
      dx = emit('Expand', [dx, literal(int64(own.map((label) => sizes.get(label)!)))])
    }
    return unbroadcast(dx, shape(input))
  })
}
