import { elementType } from '../element-type.ts'
import { defineReductionOperator } from '../families/reduction.ts'

export const reduceProd = defineReductionOperator({
  type: 'ReduceProd',
  since: 18,
  summary: 'Multiplies over the given axes.',
  initial: 1,
  join: (product, value) => product * value,
  /** The product of the others, also where elements are zero: zeros are counted and left out of the product. */
  derivative: ({ node, inputs, x, dy, sum, dtype, emit, literal }) => {
    const to = elementType(dtype(x))
    const zero = emit('Cast', [emit('Equal', [x, literal(0, x)])], { to })
    const nonzero = emit('Add', [x, zero])
    const product = emit('ReduceProd', [nonzero, ...inputs.slice(1)], { ...node.attributes, keepdims: 1 })
    const otherZeros = emit('Sub', [sum(zero), zero])
    const reached = emit('Cast', [emit('Equal', [otherZeros, literal(0, x)])], { to })
    return emit('Mul', [emit('Div', [emit('Mul', [dy, product]), nonzero]), reached])
  },
})
