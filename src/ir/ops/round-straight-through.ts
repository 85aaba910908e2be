import { roundEven } from '../../tensor/half.ts'
import { fromNumbers, toNumbers } from '../../tensor/elements.ts'
import { float32 } from '../../tensor/tensor.ts'
import { spread } from '../families/samples.ts'
import { ESPALIER_DOMAIN } from '../model.ts'
import { defineOperator } from '../operator.ts'

/** Bengio, Leonard, Courville 2013 (arXiv 1308.3432), section 3: the gradient of a step is taken to be that of its input. */
export const roundStraightThrough = defineOperator({
  type: 'RoundStraightThrough',
  domain: ESPALIER_DOMAIN,
  since: 1,
  summary: 'Rounds to the nearest integer, halves to even, and lets the gradient through unchanged.',
  infer: ({ inputs: [x] }) => [x],
  evaluate: ({ inputs: [x] }) => [fromNumbers(x!.dtype, x!.shape, toNumbers(x!).map(roundEven))],
  gradient: ({ outputGradients: [dy] }) => [dy],
  body: ({ inputs: [x], emit }) => [emit('Round', [x])],
  samples: [
    { name: 'halves', inputs: [float32([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5])], gradientOf: [] },
    { name: 'others', inputs: [spread([2, 3], -9, 9)], gradientOf: [] },
  ],
})
