import { axisTies } from '../families/broadcast.ts'
import { required } from '../families/axes.ts'
import { spread, truths } from '../families/samples.ts'
import { defineOperator } from '../operator.ts'

export const identity = defineOperator({
  type: 'Identity',
  since: 21,
  summary: 'Hands on its input: [...any] -> [...any].',
  infer: ({ inputs: [x] }) => [x],
  evaluate: (context) => [required(context, 0)],
  gradient: ({ outputGradients: [dy] }) => [dy],
  coupling: (context) => axisTies(context, () => true),
  samples: [
    { name: 'floats', inputs: [spread([2, 3])] },
    { name: 'truths', inputs: [truths([1, 0, 1])] },
  ],
})
