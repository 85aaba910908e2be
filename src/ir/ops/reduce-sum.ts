import { defineReductionOperator } from '../families/reduction.ts'

export const reduceSum = defineReductionOperator({
  type: 'ReduceSum',
  since: 13,
  summary: 'Sums over the given axes.',
  initial: 0,
  additive: true,
  join: (sum, value) => sum + value,
  derivative: ({ dy }) => dy,
})
