import { float32 } from '../../tensor/tensor.ts'
import { spread } from '../families/samples.ts'
import { ESPALIER_DOMAIN, type Dim } from '../model.ts'
import { defineOperator } from '../operator.ts'
import { windowError } from '../windows.ts'

/** Whether two shapes cannot be the same, whatever their symbols stand for. */
function differ(one: readonly Dim[], other: readonly Dim[]): boolean {
  const apart = (a: Dim, b: Dim) => typeof a === 'number' && typeof b === 'number' && a !== b
  return one.length !== other.length || one.some((size, axis) => apart(size, other[axis]))
}

/**
 * Stands where a value was computed from x by steps that have no useful gradient: hands on `value`, of x's shape, and
 * gives x the gradient of the result, times `slope` (which broadcasts to x) where there is one. `value` and `slope` get
 * none. Bengio, Leonard, Courville 2013 (arXiv 1308.3432), section 3, for any function instead of one.
 */
export const straightThrough = defineOperator({
  type: 'StraightThrough',
  domain: ESPALIER_DOMAIN,
  since: 1,
  summary: 'Hands on a value that was computed from x, and lets the gradient through to x as if nothing had been done.',
  infer: ({ node, inputs: [x, value] }) => {
    if (x?.shape && value?.shape && differ(x.shape, value.shape))
      throw windowError(node, `a value of shape [${value.shape.join(', ')}] cannot stand for [${x.shape.join(', ')}]`)
    return [value ?? x]
  },
  evaluate: ({ inputs: [, value] }) => [value!],
  gradient: ({ inputs: [, , slope], outputGradients: [dy], emit }) => [
    slope === undefined ? dy : emit('Mul', [dy, slope]),
  ],
  body: ({ inputs: [, value], emit }) => [emit('Identity', [value])],
  samples: [
    { name: 'plain', inputs: [float32([-2, 0.5, 3]), float32([-1, 1, 1])], gradientOf: [] },
    { name: 'with a slope', inputs: [spread([2, 3]), spread([2, 3], -9, 9), float32([0.5], [])], gradientOf: [] },
  ],
})
