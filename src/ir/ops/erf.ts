import { errorFunction } from '../../tensor/special.ts'
import { defineUnaryOperator } from '../families/elementwise.ts'
import { spread } from '../families/samples.ts'

export const erf = defineUnaryOperator({
  type: 'Erf',
  since: 13,
  summary: 'Takes the Gaussian error function of each element.',
  compute: () => errorFunction,
  /** dy 2 / sqrt(pi) exp(-x^2). */
  derivative: ({ x, dy, emit, literal }) => {
    const bell = emit('Exp', [emit('Neg', [emit('Mul', [x, x])])])
    return emit('Mul', [emit('Mul', [dy, literal(2 / Math.sqrt(Math.PI), dy)]), bell])
  },
  samples: [{ name: 'signs', inputs: [spread([2, 5], -4, 4)] }],
})
