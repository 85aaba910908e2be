import { int64 } from '../../tensor/tensor.ts'
import { defineBinaryOperator } from '../families/elementwise.ts'
import { fromNumbers } from '../../tensor/elements.ts'
import { spread } from '../families/samples.ts'
import { intAttribute } from '../model.ts'

export const mod = defineBinaryOperator({
  type: 'Mod',
  since: 13,
  summary: "Takes the remainder of a division: with the divisor's sign, or with fmod=1 the dividend's as in C.",
  compute: (node) => {
    if (intAttribute(node, 'fmod', 0) === 1) return (a, b) => a % b
    return (a, b) => a - b * Math.floor(a / b)
  },
  exact: (node) => {
    if (intAttribute(node, 'fmod', 0) === 1) return (a, b) => (b === 0n ? 0n : a % b)
    return (a, b) => (b === 0n ? 0n : ((a % b) + b) % b)
  },
  /** y = a - b trunc(a / b), whose quotient is constant between the jumps: dy by a, -dy (a - y) / b by b. */
  gradient: ({ inputs: [a, b], outputs: [y], outputGradients: [dy], emit, shape, unbroadcast, wants }) => [
    wants(0) ? unbroadcast(dy!, shape(a!)) : undefined,
    wants(1) ? unbroadcast(emit('Mul', [dy, emit('Div', [emit('Sub', [y, a]), b])]), shape(b!)) : undefined,
  ],
  samples: [
    { name: 'floats', inputs: [spread([2, 3], -5, 5), spread([3], 0.7, 1.3)], attributes: { fmod: 1 } },
    { name: 'int64', inputs: [int64([7, -7, 2n ** 60n + 1n]), int64([3, 3, -4])] },
    {
      name: 'int32',
      inputs: [fromNumbers('int32', [2], [7, -7]), fromNumbers('int32', [], [4])],
      attributes: { fmod: 1 },
    },
  ],
})
