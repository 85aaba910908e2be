import { fromNumbers, toNumbers } from '../../tensor/elements.ts'
import { float32 } from '../../tensor/tensor.ts'
import { elementType } from '../element-type.ts'
import { spread } from '../families/samples.ts'
import { ESPALIER_DOMAIN } from '../model.ts'
import { defineOperator } from '../operator.ts'

/**
 * The binarization of Courbariaux et al. 2016 (arXiv 1602.02830), equations 1 and 4: 1 for x >= 0, otherwise -1; the
 * gradient passes where |x| <= 1.
 */
export const signStraightThrough = defineOperator({
  type: 'SignStraightThrough',
  domain: ESPALIER_DOMAIN,
  since: 1,
  summary: 'Gives 1 or -1 by the sign of each element, zero counting as positive; the gradient passes within [-1, 1].',
  infer: ({ inputs: [x] }) => [x],
  evaluate: ({ inputs: [x] }) => [
    fromNumbers(
      x!.dtype,
      x!.shape,
      toNumbers(x!).map((value) => (value >= 0 ? 1 : -1)),
    ),
  ],
  gradient: ({ inputs: [x], outputGradients: [dy], emit, literal, dtype }) => {
    const inside = emit('LessOrEqual', [emit('Abs', [x]), literal(1, x)])
    return [emit('Mul', [dy, emit('Cast', [inside], { to: elementType(dtype(x!)) })])]
  },
  body: ({ inputs: [x], emit, literal }) => [
    emit('Where', [emit('GreaterOrEqual', [x, literal(0, x)]), literal(1, x), literal(-1, x)]),
  ],
  samples: [
    { name: 'signs and zero', inputs: [float32([-2, -0.5, 0, 0.5, 3])], gradientOf: [] },
    { name: 'matrix', inputs: [spread([2, 3])], gradientOf: [] },
  ],
})
