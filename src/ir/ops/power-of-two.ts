import { fromNumbers, toNumbers } from '../../tensor/elements.ts'
import { nearestPowerOfTwo } from '../../tensor/powers-of-two.ts'
import { float32 } from '../../tensor/tensor.ts'
import { spread } from '../families/samples.ts'
import { ESPALIER_DOMAIN } from '../model.ts'
import { defineOperator } from '../operator.ts'

/** The smallest normal float32: what is nearer to zero counts as this large, so that it has a logarithm. */
const smallest = 2 ** -126

/**
 * AP2 of Courbariaux et al. 2016 (arXiv 1602.02830), section 1.4: sign(x) · 2^round(log2 |x|), and 0 for 0, so that a
 * product with it is a shift. The gradient passes unchanged.
 */
export const powerOfTwo = defineOperator({
  type: 'PowerOfTwo',
  domain: ESPALIER_DOMAIN,
  since: 1,
  summary: 'Gives the power of two whose exponent is nearest, with the sign of x, and lets the gradient through.',
  infer: ({ inputs: [x] }) => [x],
  evaluate: ({ inputs: [x] }) => [fromNumbers(x!.dtype, x!.shape, toNumbers(x!).map(nearestPowerOfTwo))],
  gradient: ({ outputGradients: [dy] }) => [dy],
  body: ({ inputs: [x], emit, literal }) => {
    const size = emit('Max', [emit('Abs', [x]), literal(smallest, x)])
    const exponent = emit('Round', [emit('Div', [emit('Log', [size]), literal(Math.LN2, x)])])
    return [emit('Mul', [emit('Sign', [x]), emit('Pow', [literal(2, x), exponent])])]
  },
  samples: [
    { name: 'signs and zero', inputs: [float32([-5, -0.3, 0, 0.3, 1, 1.4, 1.5, 1e-20, 1e20])], gradientOf: [] },
    { name: 'matrix', inputs: [spread([2, 3], -9, 9)], gradientOf: [] },
  ],
})
