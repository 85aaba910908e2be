import { fromNumbers, toNumbers } from '../../tensor/elements.ts'
import { largestMagnitude } from '../../tensor/magnitudes.ts'
import { float32, scalar } from '../../tensor/tensor.ts'
import {
  firstExponent,
  flexpointFormat,
  largestMantissa,
  toFlexpoint,
  usedExponent,
  type FlexpointFormat,
} from '../families/flexpoint.ts'
import { noise } from '../families/noise.ts'
import { ESPALIER_DOMAIN } from '../model.ts'
import { defineOperator, type EmitContext } from '../operator.ts'

/**
 * Flexpoint (Köster et al. 2017, arXiv 1711.02213), section 3: x as mantissas of `mantissa` bits, rounded to the
 * nearest and saturating, times 2^-e, and the largest |x|, from which Autoflex predicts the next exponent. The scalar
 * input says e; where it is negative, e is what algorithm 1 finds for x. The gradient of x passes unchanged.
 */
export const flexpoint = defineOperator({
  type: 'Flexpoint',
  domain: ESPALIER_DOMAIN,
  since: 1,
  summary: 'Rounds a tensor to whole mantissas times one power of two, and gives its largest magnitude.',
  infer: ({ inputs: [x] }) => [x, { dtype: 'float32', shape: [] }],
  evaluate: ({ node, inputs: [x, exponent] }) => {
    const format = flexpointFormat(node)
    const values = toNumbers(x!)
    const maximum = largestMagnitude(values)
    const said = toNumbers(exponent!)[0]
    const e = said < 0 ? firstExponent(maximum, format) : said
    const rounded = values.map((value) => toFlexpoint(value, e, format))
    return [fromNumbers(x!.dtype, x!.shape, rounded), scalar('float32', maximum)]
  },
  gradient: ({ outputGradients: [dy] }) => [dy],
  body: (context) => flexpointBody(context, flexpointFormat(context.node)),
  samples: [
    { name: 'first exponent', inputs: [noise(1, [3, 4]), float32([-1], [])], outputs: 2, gradientOf: [] },
    { name: 'saturation', inputs: [noise(2, [3, 4]), float32([14], [])], outputs: 2, gradientOf: [] },
    {
      name: 'few bits, halves',
      inputs: [float32([0.5, 1.5, -2.5, 100, -100, 0]), float32([0], [])],
      attributes: { mantissa: 4, exponent: 3 },
      outputs: 2,
      gradientOf: [],
    },
    { name: 'zeros', inputs: [float32([0, 0]), float32([-1], [])], outputs: 2, gradientOf: [] },
  ],
})

function flexpointBody({ inputs: [x, exponent], emit, literal }: EmitContext, format: FlexpointFormat): string[] {
  const number = (value: number) => literal(value, exponent)
  const maximum = emit('ReduceMax', [emit('Abs', [x])], { keepdims: 0 })
  const used = usedExponent({ emit, literal: number }, exponent!, maximum, format)
  const steps = emit('Pow', [number(2), used])
  const largest = largestMantissa(format)
  const whole = emit('Round', [emit('Mul', [x, steps])])
  return [emit('Div', [emit('Clip', [whole, number(-largest), number(largest)]), steps]), maximum]
}
