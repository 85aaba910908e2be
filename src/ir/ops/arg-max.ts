import { float32 } from '../../tensor/tensor.ts'
import { defineArgumentOperator } from '../families/argument.ts'

export const argMax = defineArgumentOperator({
  type: 'ArgMax',
  since: 13,
  summary: 'Gives the place of the largest element along `axis`, the first of equal ones unless told otherwise.',
  better: (value, best) => value > best,
  ties: float32([3, 1, 3, 2, 2, 1], [2, 3]),
})
