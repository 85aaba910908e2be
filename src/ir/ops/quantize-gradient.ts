import { int64 } from '../../tensor/tensor.ts'
import { positiveNoise } from '../families/noise.ts'
import { spread } from '../families/samples.ts'
import { ESPALIER_DOMAIN, intAttribute } from '../model.ts'
import { defineOperator } from '../operator.ts'

/** The smallest normal float32, in the place of a range of zero. */
const LEAST = 2 ** -126

/**
 * Hands on x, and quantizes its gradient to `bits` bits as DoReFa-Net does (Zhou et al. 2016, arXiv 1606.06160,
 * section 2.5): each example's gradient dy becomes 2 m (quantize_k(dy / (2 m) + 1/2 + N) - 1/2), where m is its largest
 * magnitude, quantize_k rounds to multiples of 1 / (2^k - 1), and N = (noise - 1/2) / (2^k - 1). With noise that is
 * uniform in [0, 1), of a shape that broadcasts to x's, the gradient stays what it was in expectation.
 */
export const quantizeGradient = defineOperator({
  type: 'QuantizeGradient',
  domain: ESPALIER_DOMAIN,
  since: 1,
  summary: 'Hands on its input, and quantizes the gradient to a few bits, rounding by the noise that comes in.',
  infer: ({ inputs: [x] }) => [x],
  evaluate: ({ inputs: [x] }) => [x!],
  gradient: ({ node, inputs: [x, noise], outputGradients: [dy], wants, shape, emit, literal }) => {
    if (!wants(0)) return []
    const number = (value: number) => literal(value, dy)
    const magnitude = emit('Abs', [dy])
    const axes = shape(x!).slice(1)
    const largest =
      axes.length === 0
        ? magnitude
        : emit('ReduceMax', [magnitude, literal(int64(axes.map((_, i) => i + 1)))], { keepdims: 1 })
    const range = emit('Mul', [largest, number(2)])
    const steps = number(2 ** intAttribute(node, 'bits', 8) - 1)
    const share = emit('Div', [dy, emit('Max', [range, number(LEAST)])])
    const place = emit('Mul', [emit('Add', [share, number(0.5)]), steps])
    // Rounding after noise - 1/2 is what is below after the noise.
    const code = emit('Min', [emit('Floor', [emit('Add', [place, noise])]), steps])
    return [emit('Mul', [emit('Sub', [emit('Div', [code, steps]), number(0.5)]), range])]
  },
  body: ({ inputs: [x], emit }) => [emit('Identity', [x])],
  samples: [
    {
      name: 'two bits',
      inputs: [spread([2, 3]), positiveNoise(1, [2, 3], 0)],
      attributes: { bits: 2 },
      gradientOf: [],
    },
  ],
})
