import { elementType } from '../element-type.ts'
import { defineUnaryOperator } from '../families/elementwise.ts'
import { spread } from '../families/samples.ts'
import { float } from '../draft.ts'

export const hardSwish = defineUnaryOperator({
  type: 'HardSwish',
  since: 14,
  summary: 'Maps each element to x times x / 6 + 1/2 kept between 0 and 1.',
  compute: () => (x) => x * Math.min(1, Math.max(0, x / 6 + 0.5)),
  /** dy (gate + x / 6 where the gate is between its bounds). */
  derivative: ({ x, dy, dtype, emit, literal }) => {
    const gate = emit('HardSigmoid', [x], { alpha: float(1 / 6), beta: float(0.5) })
    const between = emit('Less', [emit('Abs', [x]), literal(3, x)])
    const slope = emit('Mul', [
      emit('Mul', [x, literal(1 / 6, x)]),
      emit('Cast', [between], { to: elementType(dtype(x)) }),
    ])
    return emit('Mul', [dy, emit('Add', [gate, slope])])
  },
  samples: [{ name: 'signs', inputs: [spread([2, 5], -5, 5)] }],
})
