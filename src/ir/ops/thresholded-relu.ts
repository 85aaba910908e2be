import { elementType } from '../element-type.ts'
import { defineUnaryOperator } from '../families/elementwise.ts'
import { spread } from '../families/samples.ts'
import { float } from '../draft.ts'
import { floatAttribute } from '../model.ts'

export const thresholdedRelu = defineUnaryOperator({
  type: 'ThresholdedRelu',
  since: 10,
  summary: 'Sets elements that are not above alpha to zero.',
  compute: (node) => {
    const alpha = floatAttribute(node, 'alpha', 1)
    return (x) => (x > alpha ? x : 0)
  },
  derivative: ({ node, x, dy, dtype, emit, literal }) => {
    const kept = emit('Greater', [x, literal(floatAttribute(node, 'alpha', 1), x)])
    return emit('Mul', [dy, emit('Cast', [kept], { to: elementType(dtype(x)) })])
  },
  samples: [
    { name: 'default', inputs: [spread([2, 3])] },
    { name: 'alpha', inputs: [spread([2, 3])], attributes: { alpha: float(0.25) } },
  ],
})
