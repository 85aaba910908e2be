import { defineBinaryOperator } from '../families/elementwise.ts'
import { spread } from '../families/samples.ts'

export const prelu = defineBinaryOperator({
  type: 'PRelu',
  since: 16,
  summary: 'Multiplies negative elements by a trained slope: x [N, C, ...spatial], slope broadcast to it.',
  parameters: [1],
  compute: () => (x, slope) => (x < 0 ? slope * x : x),
  gradient: ({ inputs: [x, slope], outputGradients: [dy], emit, literal, shape, unbroadcast, wants }) => {
    const negative = emit('Less', [x, literal(0, x)])
    return [
      wants(0) ? emit('Where', [negative, emit('Mul', [dy, slope]), dy]) : undefined,
      wants(1)
        ? unbroadcast(emit('Where', [negative, emit('Mul', [dy, x]), literal(0, dy)]), shape(slope!))
        : undefined,
    ]
  },
  samples: [
    { name: 'channels', inputs: [spread([2, 3, 2, 2]), spread([3, 1, 1], 0.1, 0.5)] },
    { name: 'one slope', inputs: [spread([2, 5]), spread([1], 0.1, 0.5)] },
  ],
})
