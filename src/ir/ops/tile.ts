import { integersOf } from '../../tensor/elements.ts'
import { int64 } from '../../tensor/tensor.ts'
import { gradientIntegers, inferredIntegers, required } from '../families/axes.ts'
import { range, takeAxes, unchangedAxes } from '../families/movement.ts'
import { spread, spreadOf } from '../families/samples.ts'
import { defineOperator } from '../operator.ts'

export const tile = defineOperator({
  type: 'Tile',
  since: 13,
  summary: 'Repeats the whole input along each axis as often as told.',
  infer: (context) => {
    const [x] = context.inputs
    if (!x?.shape) return [x && { dtype: x.dtype }]
    const repeats = inferredIntegers(context, 1)
    const shape = x.shape.map((size, axis) => {
      const factor = Array.isArray(repeats) ? repeats[axis] : null
      if (factor === 1) return size
      return typeof size === 'number' && factor !== null ? size * factor : null
    })
    return [{ dtype: x.dtype, shape }]
  },
  evaluate: (context) => {
    const x = required(context, 0)
    const repeats = integersOf(required(context, 1))
    return [
      takeAxes(
        x,
        x.shape.map((size, axis) => range(0, size * repeats[axis]).map((i) => i % size)),
      ),
    ]
  },
  /** [r * d] -> [r, d] for each axis, and the sum over all r. */
  gradient: (context) => {
    const { inputs, outputGradients, emit, literal, shape } = context
    const repeats = gradientIntegers(context, 1)!
    const split = emit('Reshape', [
      outputGradients[0],
      literal(int64(shape(inputs[0]!).flatMap((size, axis) => [repeats[axis], size]))),
    ])
    return [emit('ReduceSum', [split, literal(int64(repeats.map((_, axis) => 2 * axis)))], { keepdims: 0 })]
  },
  /** Each place is tied to all its repetitions. */
  coupling: (context) => {
    const { inputs, constant } = context
    const given = constant?.(1)
    if (!given) return unchangedAxes(context)
    const repeats = integersOf(given)
    return inputs[0]!.shape.map((size, axis) => ({
      ports: [
        { side: 'input', index: 0, axis },
        ...range(0, repeats[axis]).map((i) => ({ side: 'output', index: 0, axis, offset: i * size }) as const),
      ],
      count: size,
    }))
  },
  samples: [
    { name: 'both axes', inputs: [spread([2, 3]), int64([3, 2])] },
    { name: 'one axis', inputs: [spread([2, 1, 3]), int64([1, 4, 1])] },
    { name: 'uint8', inputs: [spreadOf('uint8', [3], 0, 9), int64([2])] },
  ],
})
