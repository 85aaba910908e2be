import { int64 } from '../../tensor/tensor.ts'
import { dtypes } from '../../tensor/dtype.ts'
import { defineBinaryOperator } from '../families/elementwise.ts'
import { spread } from '../families/samples.ts'

export const div = defineBinaryOperator({
  type: 'Div',
  since: 14,
  summary: 'Divides the first tensor by the second, element by element, with broadcasting; integers towards zero.',
  compute: (_, dtype) => (dtypes[dtype].kind === 'integer' ? (a, b) => Math.trunc(a / b) : (a, b) => a / b),
  exact: () => (a, b) => (b === 0n ? 0n : a / b),
  gradient: ({ inputs: [a, b], outputs: [y], outputGradients: [dy], emit, shape, unbroadcast, wants }) => {
    const da = emit('Div', [dy, b])
    return [
      wants(0) ? unbroadcast(da, shape(a!)) : undefined,
      wants(1) ? unbroadcast(emit('Neg', [emit('Mul', [da, y])]), shape(b!)) : undefined,
    ]
  },
  samples: [
    { name: 'equal shapes', inputs: [spread([2, 3]), spread([2, 3], 0.5, 3)] },
    { name: 'channels', inputs: [spread([2, 3, 2, 2]), spread([3, 1, 1], 0.5, 2)] },
    { name: 'int64', inputs: [int64([7, -7, 9007199254740993n]), int64([2, 2, 1])] },
  ],
})
