import { int64 } from '../../tensor/tensor.ts'
import { defineBinaryOperator } from '../families/elementwise.ts'
import { spread, spreadOf } from '../families/samples.ts'

export const add = defineBinaryOperator({
  type: 'Add',
  since: 14,
  summary: 'Adds two tensors element by element, with broadcasting.',
  compute: () => (a, b) => a + b,
  exact: () => (a, b) => a + b,
  gradient: ({ inputs: [a, b], outputGradients: [dy], shape, unbroadcast, wants }) => [
    wants(0) ? unbroadcast(dy!, shape(a!)) : undefined,
    wants(1) ? unbroadcast(dy!, shape(b!)) : undefined,
  ],
  samples: [
    { name: 'equal shapes', inputs: [spread([2, 3]), spreadOf('float32', [2, 3], -1, 3, 0.1)] },
    { name: 'channels', inputs: [spread([2, 3, 5, 1]), spread([3, 1, 4])] },
    { name: 'int64', inputs: [int64([2n ** 60n, -3n, 5n]), int64([2n ** 53n + 1n])] },
  ],
})
