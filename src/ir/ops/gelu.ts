import { errorFunction } from '../../tensor/special.ts'
import { defineUnaryOperator, type UnaryGradient } from '../families/elementwise.ts'
import { spread } from '../families/samples.ts'
import { stringAttribute } from '../model.ts'

const CUBIC = 0.044715
const SCALE = Math.sqrt(2 / Math.PI)

export const gelu = defineUnaryOperator({
  type: 'Gelu',
  since: 20,
  summary: 'Multiplies each element by the normal distribution function of it, exactly or by the tanh approximation.',
  compute: (node) => {
    if (stringAttribute(node, 'approximate', 'none') === 'tanh')
      return (x) => 0.5 * x * (1 + Math.tanh(SCALE * (x + CUBIC * x ** 3)))
    return (x) => 0.5 * x * (1 + errorFunction(x / Math.SQRT2))
  },
  derivative: (context) =>
    stringAttribute(context.node, 'approximate', 'none') === 'tanh' ? approximate(context) : exact(context),
  samples: [
    { name: 'exact', inputs: [spread([2, 5], -4, 4)] },
    { name: 'tanh', inputs: [spread([2, 5], -4, 4)], attributes: { approximate: 'tanh' } },
  ],
})

/** dy (Phi(x) + x phi(x)). */
function exact({ x, dy, emit, literal }: UnaryGradient): string {
  const scaled = (value: string, factor: number) => emit('Mul', [value, literal(factor, value)])
  const tail = emit('Erf', [scaled(x, Math.SQRT1_2)])
  const distribution = scaled(emit('Add', [tail, literal(1, x)]), 0.5)
  const density = scaled(emit('Exp', [scaled(emit('Mul', [x, x]), -0.5)]), 1 / Math.sqrt(2 * Math.PI))
  return emit('Mul', [dy, emit('Add', [distribution, emit('Mul', [x, density])])])
}

/** With t = tanh(s (x + c x^3)): dy ((1 + t) / 2 + x / 2 (1 - t^2) s (1 + 3 c x^2)). */
function approximate({ x, dy, emit, literal }: UnaryGradient): string {
  const scaled = (value: string, factor: number) => emit('Mul', [value, literal(factor, value)])
  const raised = (value: string) => emit('Add', [value, literal(1, value)])
  const square = emit('Mul', [x, x])
  const inner = emit('Mul', [scaled(x, SCALE), raised(scaled(square, CUBIC))])
  const t = emit('Tanh', [inner])
  const gate = scaled(raised(t), 0.5)
  const steepness = raised(scaled(emit('Mul', [t, t]), -1))
  const slope = emit('Mul', [scaled(x, SCALE / 2), raised(scaled(square, 3 * CUBIC))])
  return emit('Mul', [dy, emit('Add', [gate, emit('Mul', [steepness, slope])])])
}
