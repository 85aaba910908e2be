import { defineReductionOperator, reducedExtremumGradient } from '../families/reduction.ts'

export const reduceMax = defineReductionOperator({
  type: 'ReduceMax',
  since: 20,
  summary: 'Takes the largest element over the given axes; equal ones share the gradient evenly.',
  initial: Number.NEGATIVE_INFINITY,
  join: Math.max,
  derivative: reducedExtremumGradient,
})
