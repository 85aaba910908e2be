import { elementType } from '../element-type.ts'
import { defineReductionOperator } from '../families/reduction.ts'

export const reduceL2 = defineReductionOperator({
  type: 'ReduceL2',
  since: 18,
  summary: 'Takes the Euclidean norm over the given axes; its gradient at zero is zero.',
  initial: 0,
  additive: true,
  join: (sum, value) => sum + value * value,
  finish: (sum) => Math.sqrt(sum),
  derivative: ({ x, y, dy, dtype, emit, literal }) => {
    const zero = emit('Cast', [emit('Equal', [y, literal(0, y)])], { to: elementType(dtype(y)) })
    return emit('Mul', [emit('Div', [dy, emit('Add', [y, zero])]), x])
  },
})
