import { defineUnaryOperator } from '../families/elementwise.ts'
import { spread } from '../families/samples.ts'
import { float } from '../draft.ts'
import { floatAttribute } from '../model.ts'

export const elu = defineUnaryOperator({
  type: 'Elu',
  since: 6,
  summary: 'Maps negative elements to alpha (exp(x) - 1).',
  compute: (node) => {
    const alpha = floatAttribute(node, 'alpha', 1)
    return (x) => (x < 0 ? alpha * Math.expm1(x) : x)
  },
  /** dy where x is not negative, otherwise dy alpha exp(x) = dy (y + alpha). */
  derivative: ({ node, x, y, dy, emit, literal }) => {
    const slope = emit('Add', [y, literal(floatAttribute(node, 'alpha', 1), y)])
    return emit('Where', [emit('Less', [x, literal(0, x)]), emit('Mul', [dy, slope]), dy])
  },
  samples: [
    { name: 'default', inputs: [spread([2, 3])] },
    { name: 'alpha', inputs: [spread([2, 3])], attributes: { alpha: float(0.5) } },
  ],
})
