import { defineReductionOperator, reducedExtremumGradient } from '../families/reduction.ts'

export const reduceMin = defineReductionOperator({
  type: 'ReduceMin',
  since: 20,
  summary: 'Takes the smallest element over the given axes; equal ones share the gradient evenly.',
  initial: Number.POSITIVE_INFINITY,
  join: Math.min,
  derivative: reducedExtremumGradient,
})
