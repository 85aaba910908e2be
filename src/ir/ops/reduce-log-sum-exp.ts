import { defineReductionOperator } from '../families/reduction.ts'

export const reduceLogSumExp = defineReductionOperator({
  type: 'ReduceLogSumExp',
  since: 18,
  summary: 'Takes the logarithm of the sum of exponentials over the given axes, without overflow.',
  initial: Number.NEGATIVE_INFINITY,
  join: (sum, value) => {
    const high = Math.max(sum, value)
    return Number.isFinite(high) ? high + Math.log(Math.exp(sum - high) + Math.exp(value - high)) : high
  },
  derivative: ({ x, y, dy, emit }) => emit('Mul', [dy, emit('Exp', [emit('Sub', [x, y])])]),
})
