import { float32 } from '../../tensor/tensor.ts'
import { defineArgumentOperator } from '../families/argument.ts'

export const argMin = defineArgumentOperator({
  type: 'ArgMin',
  since: 13,
  summary: 'Gives the place of the smallest element along `axis`, the first of equal ones unless told otherwise.',
  better: (value, best) => value < best,
  ties: float32([1, 3, 1, 2, 3, 2], [2, 3]),
})
