import { defineReductionOperator } from '../families/reduction.ts'

export const reduceSumSquare = defineReductionOperator({
  type: 'ReduceSumSquare',
  since: 18,
  summary: 'Sums squares over the given axes.',
  initial: 0,
  additive: true,
  join: (sum, value) => sum + value * value,
  derivative: ({ x, dy, emit, literal }) => emit('Mul', [emit('Mul', [dy, literal(2, dy)]), x]),
})
