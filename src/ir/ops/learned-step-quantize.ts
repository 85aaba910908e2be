import { fromNumbers, toNumbers } from '../../tensor/elements.ts'
import { roundEven } from '../../tensor/half.ts'
import { broadcastStrides, walk } from '../../tensor/shape.ts'
import { createTensor, float32 } from '../../tensor/tensor.ts'
import { float } from '../draft.ts'
import { elementType } from '../element-type.ts'
import { noise, positiveNoise } from '../families/noise.ts'
import { ESPALIER_DOMAIN, floatAttribute, intAttribute, type Node } from '../model.ts'
import { defineOperator, type EmitContext } from '../operator.ts'

/**
 * round(clip(x / step, low, high)) · step, whose gradient reaches the step: Esser et al. 2020 (arXiv 1902.08153),
 * equations 1, 2, 3 and 5. x of any shape; step is positive, a scalar or of a shape that broadcasts to x; the
 * attributes `low` and `high` are integers, -Q_N and Q_P of the paper, and `gradient_scale` is what the step's gradient
 * is multiplied by (section 2.2), 1 by itself.
 */
export const learnedStepQuantize = defineOperator({
  type: 'LearnedStepQuantize',
  domain: ESPALIER_DOMAIN,
  since: 1,
  summary: 'Rounds to multiples of a step from `low` to `high` times it, and tells the step how it should have been.',
  infer: ({ inputs: [x] }) => [x],
  evaluate: ({ node, inputs: [x, step] }) => {
    const [low, high] = bounds(node)
    const [numbers, steps] = [toNumbers(x!), toNumbers(step!)]
    const values = new Float64Array(numbers.length)
    const dense = broadcastStrides(x!.shape, x!.shape)
    walk(x!.shape, dense, broadcastStrides(step!.shape, x!.shape), (index, _, at) => {
      const [quotient] = toNumbers(fromNumbers(x!.dtype, [1], [numbers[index] / steps[at]]))
      values[index] = Math.min(high, Math.max(low, roundEven(quotient))) * steps[at]
    })
    return [fromNumbers(x!.dtype, x!.shape, values)]
  },
  gradient: (context) => {
    const { node, inputs, outputGradients, emit, literal, dtype, shape, unbroadcast, wants } = context
    const [x, step] = inputs as readonly [string, string]
    const dy = outputGradients[0]!
    const [low, high] = bounds(node).map((bound) => literal(bound, x))
    const quotient = emit('Div', [x, step])
    const within = emit('And', [emit('Less', [low, quotient]), emit('Less', [quotient, high])])
    const passes = emit('Cast', [within], { to: elementType(dtype(x)) })
    const ofStep = () => {
      const slope = emit('Sub', [codes(context, quotient), emit('Mul', [quotient, passes])])
      const sum = unbroadcast(emit('Mul', [dy, slope]), shape(step))
      return emit('Mul', [sum, literal(floatAttribute(node, 'gradient_scale', 1), x)])
    }
    return [wants(0) ? emit('Mul', [dy, passes]) : undefined, wants(1) ? ofStep() : undefined]
  },
  body: (context) => {
    const { node, inputs, emit, literal, shape } = context
    const [x, step] = inputs as readonly [string, string]
    const [low, high] = bounds(node)
    if (shape(step).length > 0 || low < -128 || high > (low < 0 ? 127 : 255))
      return [emit('Mul', [codes(context, emit('Div', [x, step])), step])]
    const zeroPoint = literal(
      low < 0 ? createTensor('int8', [], Int8Array.of(0)) : createTensor('uint8', [], Uint8Array.of(0)),
    )
    // Codes of eight bits saturate by themselves.
    const full = low < 0 ? low === -128 && high === 127 : low === 0 && high === 255
    const bound = (value: number) => emit('Mul', [step, literal(value, x)])
    const clipped = full ? x : emit('Clip', [x, bound(low), bound(high)])
    return [emit('DequantizeLinear', [emit('QuantizeLinear', [clipped, step, zeroPoint]), step, zeroPoint])]
  },
  samples: [
    {
      name: 'two bits',
      inputs: [float32([-1, 0, 0.24, 0.26, 0.75, 1.25, 1.6, 9]), float32([0.5], [])],
      attributes: { low: 0, high: 3 },
      gradientOf: [],
    },
    {
      name: 'signed',
      inputs: [noise(1, [2, 7]), float32([0.21], [])],
      attributes: { low: -8, high: 7 },
      gradientOf: [],
    },
    {
      name: 'a step for each channel',
      inputs: [noise(2, [3, 2, 4]), positiveNoise(3, [3, 1, 1], 0.1)],
      attributes: { low: -128, high: 127, gradient_scale: float(0.25) },
      gradientOf: [],
    },
  ],
})

function bounds(node: Node): [number, number] {
  return [intAttribute(node, 'low', -128), intAttribute(node, 'high', 127)]
}

function codes({ node, inputs: [x], emit, literal }: EmitContext, quotient: string): string {
  const [low, high] = bounds(node)
  return emit('Clip', [emit('Round', [quotient]), literal(low, x), literal(high, x)])
}
