import { elementType } from '../element-type.ts'
import { defineUnaryOperator, type UnaryGradient } from '../families/elementwise.ts'
import { spread } from '../families/samples.ts'
import { float } from '../draft.ts'
import { floatAttribute } from '../model.ts'

export const hardSigmoid = defineUnaryOperator({
  type: 'HardSigmoid',
  since: 6,
  summary: 'Maps each element to alpha x + beta, kept between 0 and 1.',
  compute: (node) => {
    const [alpha, beta] = [floatAttribute(node, 'alpha', 0.2), floatAttribute(node, 'beta', 0.5)]
    return (x) => Math.min(1, Math.max(0, alpha * x + beta))
  },
  derivative: ({ node, y, dy, dtype, emit, literal }: UnaryGradient) => {
    const between = emit('And', [emit('Greater', [y, literal(0, y)]), emit('Less', [y, literal(1, y)])])
    const scaled = emit('Mul', [dy, literal(floatAttribute(node, 'alpha', 0.2), dy)])
    return emit('Mul', [scaled, emit('Cast', [between], { to: elementType(dtype(y)) })])
  },
  samples: [
    { name: 'default', inputs: [spread([2, 5], -4, 4)] },
    { name: 'steeper', inputs: [spread([2, 3], -4, 4)], attributes: { alpha: float(0.5), beta: float(0.3) } },
  ],
})
