import { poolWindows, windowSizes } from '../../ir/families/pooling.ts'
import { resultShape } from '../../ir/windows.ts'
import { fromNumbers } from '../../tensor/elements.ts'
import { elementCount } from '../../tensor/tensor.ts'
import type { Formulation, LowerContext } from './formulation.ts'

/** The sizes by which the windows of the forward pool divided, [1, 1, ...windows]. */
function sizes({ node, inputs: [dy], shape }: LowerContext): Float64Array {
  const x = resultShape(node)
  return windowSizes(node, x.slice(2), shape(dy!).slice(2), poolWindows(node, x))
}

/** One window over the whole image: dy / size, repeated. */
const whole: Formulation = {
  name: 'whole',
  applies({ node, inputs: [dy], shape }) {
    const x = resultShape(node)
    const { kernel, begin, end, dilations } = poolWindows(node, x)
    return (
      shape(dy!).every((size, axis) => axis < 2 || size === 1) &&
      kernel.every((size, axis) => size === x[axis + 2] && dilations[axis] === 1) &&
      [...begin, ...end].every((pad) => pad === 0)
    )
  },
  write({ node, inputs: [dy], emit, literal, dtype }) {
    const spatial = resultShape(node).slice(2)
    const values = new Float64Array(elementCount(spatial)).fill(1 / elementCount(spatial))
    return [emit('Mul', [dy, literal(fromNumbers(dtype(dy!), [1, 1, ...spatial], values))])]
  },
}

/** Any windows: each channel's gradient, divided by its window's size, is spread by a transposed convolution with ones. */
const spread: Formulation = {
  name: 'spread',
  applies: () => true,
  write(context) {
    const { node, inputs, emit, literal, dtype, shape } = context
    const dy = inputs[0]!
    const x = resultShape(node)
    const { kernel, strides, dilations, begin, end } = poolWindows(node, x)
    const counts = shape(dy).slice(2)
    const divisors = sizes(context)
    const even = divisors.every((size) => size === divisors[0])
    const shares = () =>
      literal(
        fromNumbers(
          dtype(dy),
          [1, 1, ...counts],
          divisors.map((size) => 1 / size),
        ),
      )
    const ones = new Float64Array(x[1] * elementCount(kernel)).fill(even ? 1 / divisors[0] : 1)
    const rest = kernel.map((size, axis) => {
      const covered = (counts[axis] - 1) * strides[axis] + (size - 1) * dilations[axis] + 1
      return x[axis + 2] - (covered - begin[axis] - end[axis])
    })
    return [
      emit(
        'ConvTranspose',
        [even ? dy : emit('Mul', [dy, shares()]), literal(fromNumbers(dtype(dy), [x[1], 1, ...kernel], ones))],
        {
          strides: [...strides],
          dilations: [...dilations],
          group: x[1],
          // A last window that overhangs, by ceil_mode, is cut off like padding.
          pads: [...begin, ...end.map((pad, axis) => pad + Math.max(0, -rest[axis]))],
          output_padding: rest.map((size) => Math.max(0, size)),
        },
      ),
    ]
  },
}

export const averagePoolGrad: readonly Formulation[] = [whole, spread]
