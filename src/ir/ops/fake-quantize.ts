import { fromNumbers } from '../../tensor/elements.ts'
import { float32, int64, scalar } from '../../tensor/tensor.ts'
import { elementType } from '../element-type.ts'
import { noise, positiveNoise } from '../families/noise.ts'
import { ESPALIER_DOMAIN, intAttribute } from '../model.ts'
import { defineOperator, type EmitContext } from '../operator.ts'
import { windowError } from '../windows.ts'
import { dequantizeLinear } from './dequantize-linear.ts'
import { quantizeLinear } from './quantize-linear.ts'

/**
 * x by its integer codes and back: x, scale and zero point (of the codes' type) as for QuantizeLinear, for the whole
 * tensor or each index of `axis`. The gradient passes where the code is not saturated, that is where the result is
 * within half a step of x (Jacob et al. 2018, arXiv 1712.05877, section 3); scale and zero point get none.
 */
export const fakeQuantize = defineOperator({
  type: 'FakeQuantize',
  domain: ESPALIER_DOMAIN,
  since: 1,
  summary: 'Rounds to the values that integer codes can say, and lets the gradient through where none is saturated.',
  infer: ({ node, inputs: [x] }) => {
    if (intAttribute(node, 'block_size', 0) !== 0) throw windowError(node, 'it has no blocks')
    return [x]
  },
  evaluate: ({ node, inputs }) => {
    const [codes] = quantizeLinear.evaluate!({ node, inputs })
    return dequantizeLinear.evaluate!({ node, inputs: [codes, inputs[1], inputs[2]] })
  },
  gradient: (context) => {
    const { inputs, outputs, outputGradients, emit, literal, dtype } = context
    const x = inputs[0]!
    const distance = emit('Abs', [emit('Sub', [outputs[0], x])])
    // A little more than half a step, so that what lies in the middle of two codes passes however it was rounded.
    const inside = emit('LessOrEqual', [distance, emit('Mul', [scaleAlong(context), literal(0.5001, x)])])
    return [emit('Mul', [outputGradients[0], emit('Cast', [inside], { to: elementType(dtype(x)) })])]
  },
  body: ({ node, inputs: [x, scale, zeroPoint], emit }) => {
    const axis = { axis: intAttribute(node, 'axis', 1) }
    return [emit('DequantizeLinear', [emit('QuantizeLinear', [x, scale, zeroPoint], axis), scale, zeroPoint], axis)]
  },
  samples: [
    { name: 'per tensor', inputs: [noise(1, [2, 5]), float32([0.05], []), scalar('uint8', 120)], gradientOf: [] },
    {
      name: 'ties and saturation',
      inputs: [float32([0.5, 1.5, -2.5, 1e6, -1e6]), float32([1], []), scalar('int8', 1)],
      gradientOf: [],
    },
    {
      name: 'per axis',
      inputs: [noise(1, [2, 3, 4]), positiveNoise(2, [3], 0.01), fromNumbers('int8', [3], [0, -3, 5])],
      attributes: { axis: 1 },
      gradientOf: [],
    },
  ],
})

/** The scale in a shape that broadcasts against x. */
function scaleAlong({ node, inputs: [x, scale], shape, emit, literal }: EmitContext): string {
  const rank = shape(x!).length
  if (shape(scale!).length === 0) return scale!
  const axis = (intAttribute(node, 'axis', 1) + rank) % rank
  const along = shape(x!).map((size, at) => (at === axis ? size : 1))
  return emit('Reshape', [scale, literal(int64(shape(scale!)[0] === 1 ? [1] : along))])
}
