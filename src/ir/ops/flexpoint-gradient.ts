import { float32 } from '../../tensor/tensor.ts'
import { flexpointFormat } from '../families/flexpoint.ts'
import { noise } from '../families/noise.ts'
import { ESPALIER_DOMAIN } from '../model.ts'
import { defineOperator } from '../operator.ts'

/**
 * x unchanged, whose gradient is rounded as `Flexpoint` rounds, with an exponent of its own. What is known of the
 * gradient leaves through the third input, a scalar that does nothing: its gradient is the largest magnitude of that of
 * x.
 */
export const flexpointGradient = defineOperator({
  type: 'FlexpointGradient',
  domain: ESPALIER_DOMAIN,
  since: 1,
  summary: 'Hands on x, and rounds its gradient to whole mantissas times one power of two.',
  infer: ({ inputs: [x] }) => [x],
  evaluate: ({ inputs: [x] }) => [x!],
  gradient: ({ node, inputs: [, exponent], outputGradients: [dy], emitMany }) => {
    const [rounded, maximum] = emitMany('espalier.Flexpoint', [dy, exponent], 2, { ...flexpointFormat(node) })
    return [rounded, undefined, maximum]
  },
  body: ({ inputs: [x], emit }) => [emit('Identity', [x])],
  samples: [{ name: 'matrix', inputs: [noise(1, [2, 3]), float32([-1], []), float32([0], [])], gradientOf: [] }],
})
