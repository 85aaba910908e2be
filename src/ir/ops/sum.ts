import { defineVariadicOperator } from '../families/elementwise.ts'
import { spread } from '../families/samples.ts'

export const sum = defineVariadicOperator({
  type: 'Sum',
  since: 13,
  summary: 'Adds all its inputs element by element, with broadcasting.',
  join: (a, b) => a + b,
  gradient: ({ inputs, outputGradients: [dy], shape, unbroadcast, wants }) =>
    inputs.map((x, index) => (wants(index) ? unbroadcast(dy!, shape(x!)) : undefined)),
  samples: [
    { name: 'three', inputs: [spread([2, 3]), spread([3], 0, 1), spread([2, 1], 2, 3)] },
    { name: 'one', inputs: [spread([2, 3])] },
  ],
})
