import { defineUnaryOperator } from '../families/elementwise.ts'
import { spread } from '../families/samples.ts'
import { float } from '../draft.ts'
import { floatAttribute } from '../model.ts'

export const leakyRelu = defineUnaryOperator({
  type: 'LeakyRelu',
  since: 16,
  summary: 'Multiplies negative elements by alpha.',
  compute: (node) => {
    const alpha = floatAttribute(node, 'alpha', 0.01)
    return (x) => (x < 0 ? alpha * x : x)
  },
  derivative: ({ node, x, dy, emit, literal }) => {
    const scaled = emit('Mul', [dy, literal(floatAttribute(node, 'alpha', 0.01), dy)])
    return emit('Where', [emit('Less', [x, literal(0, x)]), scaled, dy])
  },
  samples: [
    { name: 'default', inputs: [spread([2, 3])] },
    { name: 'steeper', inputs: [spread([2, 3])], attributes: { alpha: float(0.3) } },
  ],
})
