import { defineUnaryOperator } from '../families/elementwise.ts'
import { spread } from '../families/samples.ts'
import { float } from '../draft.ts'
import { floatAttribute, type Node } from '../model.ts'

export const selu = defineUnaryOperator({
  type: 'Selu',
  since: 6,
  summary: 'Maps negative elements to gamma alpha (exp(x) - 1) and others to gamma x.',
  compute: (node) => {
    const { alpha, gamma } = scales(node)
    return (x) => gamma * (x > 0 ? x : alpha * Math.expm1(x))
  },
  /** dy gamma where x is positive, otherwise dy gamma alpha exp(x) = dy (y + gamma alpha). */
  derivative: ({ node, x, y, dy, emit, literal }) => {
    const { alpha, gamma } = scales(node)
    const slope = emit('Add', [y, literal(gamma * alpha, y)])
    return emit('Mul', [dy, emit('Where', [emit('Greater', [x, literal(0, x)]), literal(gamma, x), slope])])
  },
  samples: [
    { name: 'default', inputs: [spread([2, 3])] },
    { name: 'attributes', inputs: [spread([2, 3])], attributes: { alpha: float(0.5), gamma: float(2) } },
  ],
})

function scales(node: Node): { readonly alpha: number; readonly gamma: number } {
  return {
    alpha: floatAttribute(node, 'alpha', 1.6732632423543772),
    gamma: floatAttribute(node, 'gamma', 1.0507009873554805),
  }
}
