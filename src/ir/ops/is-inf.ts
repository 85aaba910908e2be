import { float32 } from '../../tensor/tensor.ts'
import { defineUnaryOperator } from '../families/elementwise.ts'
import { intAttribute } from '../model.ts'

const values = float32([1, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY, Number.NaN])

export const isInf = defineUnaryOperator({
  type: 'IsInf',
  since: 20,
  summary: 'Tells where an element is infinite, of either sign or of one.',
  result: 'bool',
  compute: (node) => {
    const [negative, positive] = ['detect_negative', 'detect_positive'].map((name) => intAttribute(node, name, 1) === 1)
    return (x) => Number((positive && x === Infinity) || (negative && x === -Infinity))
  },
  differentiable: 'none',
  samples: [
    { name: 'both', inputs: [values] },
    { name: 'positive', inputs: [values], attributes: { detect_negative: 0 } },
  ],
})
