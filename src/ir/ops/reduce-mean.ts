import { defineReductionOperator } from '../families/reduction.ts'

export const reduceMean = defineReductionOperator({
  type: 'ReduceMean',
  since: 18,
  summary: 'Averages over the given axes.',
  initial: 0,
  join: (sum, value) => sum + value,
  finish: (sum, count) => sum / count,
  derivative: ({ dy, count, emit, literal }) => emit('Mul', [dy, literal(1 / count, dy)]),
})
