import { elementType } from '../element-type.ts'
import { defineBinaryOperator } from '../families/elementwise.ts'
import { spread } from '../families/samples.ts'
import { int64 } from '../../tensor/tensor.ts'

export const pow = defineBinaryOperator({
  type: 'Pow',
  since: 15,
  summary: 'Raises the first tensor to the power of the second, with broadcasting, in the type of the first.',
  compute: () => (a, b) => (a === 1 ? 1 : a ** b),
  /** da = dy b a^(b-1); db = dy y ln(a), taken as zero where a is not positive. */
  gradient: ({
    inputs: [a, b],
    outputs: [y],
    outputGradients: [dy],
    emit,
    literal,
    shape,
    dtype,
    unbroadcast,
    wants,
  }) => {
    const power = () => (dtype(b!) === dtype(a!) ? b! : emit('Cast', [b], { to: elementType(dtype(a!)) }))
    const byBase = () => {
      const exponent = power()
      const slope = emit('Mul', [exponent, emit('Pow', [a, emit('Sub', [exponent, literal(1, a)])])])
      return unbroadcast(emit('Mul', [dy, slope]), shape(a!))
    }
    const byExponent = () => {
      const positive = emit('Greater', [a, literal(0, a)])
      const logarithm = emit('Log', [emit('Where', [positive, a, literal(1, a)])])
      return unbroadcast(emit('Mul', [emit('Mul', [dy, y]), logarithm]), shape(b!))
    }
    return [wants(0) ? byBase() : undefined, wants(1) && dtype(b!) === dtype(a!) ? byExponent() : undefined]
  },
  samples: [
    { name: 'squares', inputs: [spread([2, 3]), int64([2], [])], gradientOf: [0] },
    { name: 'broadcast', inputs: [spread([2, 3], 0.2, 2), spread([3], -1, 2)] },
  ],
})
