import { defineReductionOperator } from '../families/reduction.ts'

export const reduceL1 = defineReductionOperator({
  type: 'ReduceL1',
  since: 18,
  summary: 'Sums absolute values over the given axes.',
  initial: 0,
  additive: true,
  join: (sum, value) => sum + Math.abs(value),
  derivative: ({ x, dy, emit }) => emit('Mul', [dy, emit('Sign', [x])]),
})
