import { int64 } from '../../tensor/tensor.ts'
import { defineBinaryOperator } from '../families/elementwise.ts'
import { spread, spreadOf } from '../families/samples.ts'

export const mul = defineBinaryOperator({
  type: 'Mul',
  since: 14,
  summary: 'Multiplies two tensors element by element, with broadcasting.',
  compute: () => (a, b) => a * b,
  exact: () => (a, b) => a * b,
  gradient: ({ inputs: [a, b], outputGradients: [dy], emit, shape, unbroadcast, wants }) => [
    wants(0) ? unbroadcast(emit('Mul', [dy, b]), shape(a!)) : undefined,
    wants(1) ? unbroadcast(emit('Mul', [dy, a]), shape(b!)) : undefined,
  ],
  samples: [
    { name: 'equal shapes', inputs: [spread([2, 3]), spreadOf('float32', [2, 3], -1, 3, 0.1)] },
    { name: 'channels', inputs: [spread([2, 3, 3, 1]), spread([3, 1, 1])] },
    { name: 'int64', inputs: [int64([3037000500n, -3n, 5n]), int64([3037000499n])] },
  ],
})
