import { defineReductionOperator } from '../families/reduction.ts'

export const reduceLogSum = defineReductionOperator({
  type: 'ReduceLogSum',
  since: 18,
  summary: 'Takes the logarithm of the sum over the given axes.',
  initial: 0,
  join: (sum, value) => sum + value,
  finish: (sum) => Math.log(sum),
  derivative: ({ y, dy, emit }) => emit('Mul', [dy, emit('Exp', [emit('Neg', [y])])]),
  range: [0.1, 2],
})
