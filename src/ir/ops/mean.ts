import { defineVariadicOperator } from '../families/elementwise.ts'
import { spread } from '../families/samples.ts'

export const mean = defineVariadicOperator({
  type: 'Mean',
  since: 13,
  summary: 'Averages its inputs element by element, with broadcasting.',
  join: (a, b) => a + b,
  finish: (value, count) => value / count,
  gradient: ({ inputs, outputGradients: [dy], emit, literal, shape, unbroadcast, wants }) => {
    const part = emit('Mul', [dy, literal(1 / inputs.length, dy)])
    return inputs.map((x, index) => (wants(index) ? unbroadcast(part, shape(x!)) : undefined))
  },
  samples: [
    { name: 'three', inputs: [spread([2, 3]), spread([3], 0, 1), spread([2, 1], 2, 3)] },
    { name: 'one', inputs: [spread([2, 3])] },
  ],
})
