import { int64 } from '../../tensor/tensor.ts'
import { defineBinaryOperator } from '../families/elementwise.ts'
import { spread, spreadOf } from '../families/samples.ts'

export const sub = defineBinaryOperator({
  type: 'Sub',
  since: 14,
  summary: 'Subtracts the second tensor from the first, element by element, with broadcasting.',
  compute: () => (a, b) => a - b,
  exact: () => (a, b) => a - b,
  gradient: ({ inputs: [a, b], outputGradients: [dy], emit, shape, unbroadcast, wants }) => [
    wants(0) ? unbroadcast(dy!, shape(a!)) : undefined,
    wants(1) ? emit('Neg', [unbroadcast(dy!, shape(b!))]) : undefined,
  ],
  samples: [
    { name: 'equal shapes', inputs: [spread([2, 3]), spreadOf('float32', [2, 3], -1, 3, 0.1)] },
    { name: 'scalar', inputs: [spread([3, 3]), spread([])] },
    { name: 'int64', inputs: [int64([2n ** 60n, -3n, 5n]), int64([2n ** 53n + 1n])] },
  ],
})
