import { defineUnaryOperator } from '../families/elementwise.ts'
import { spread } from '../families/samples.ts'

export const softsign = defineUnaryOperator({
  type: 'Softsign',
  since: 1,
  summary: 'Divides each element by one plus its absolute value.',
  compute: () => (x) => x / (1 + Math.abs(x)),
  derivative: ({ x, dy, emit, literal }) => {
    const divisor = emit('Add', [emit('Abs', [x]), literal(1, x)])
    return emit('Div', [dy, emit('Mul', [divisor, divisor])])
  },
  samples: [{ name: 'signs', inputs: [spread([2, 3])] }],
})
