import { elementType } from '../element-type.ts'
import { defineBinaryOperator } from '../families/elementwise.ts'
import { spread, spreadOf } from '../families/samples.ts'
import { ESPALIER_DOMAIN } from '../model.ts'

export const reluGrad = defineBinaryOperator({
  type: 'ReluGrad',
  domain: ESPALIER_DOMAIN,
  since: 1,
  summary: 'Passes the gradient dy where the result y of a Relu is positive: dy [...any], y [...any] -> [...any].',
  compute: () => (dy, y) => (y > 0 ? dy : 0),
  gradient: ({ inputs: [, y], outputGradients: [dz], emit, wants }) => [
    wants(0) ? emit('espalier.ReluGrad', [dz, y]) : undefined,
    undefined,
  ],
  body: ({ inputs: [dy, y], dtype, emit, literal }) => [
    emit('Mul', [dy, emit('Cast', [emit('Greater', [y, literal(0, y)])], { to: elementType(dtype(dy!)) })]),
  ],
  samples: [
    { name: 'signs', inputs: [spread([2, 3]), spreadOf('float32', [2, 3], -1, 1, 0.6)], gradientOf: [0] },
    { name: 'images', inputs: [spread([1, 3, 3, 2]), spreadOf('float32', [1, 3, 3, 2], -1, 1, 0.1)], gradientOf: [0] },
  ],
})
