import { int64 } from '../../tensor/tensor.ts'
import { axesButChannel, channelShape } from '../families/channels.ts'
import { noise } from '../families/noise.ts'
import { normalizeGroups } from '../families/normalization.ts'
import { float } from '../draft.ts'
import { floatAttribute } from '../model.ts'
import { defineOperator } from '../operator.ts'

/**
 * y = scale * (x - mean) / sqrt(variance + epsilon) + bias, with mean and variance over each plane of x [batch,
 * channels, ...spatial]; scale and bias are [channels].
 */
export const instanceNormalization = defineOperator({
  type: 'InstanceNormalization',
  since: 6,
  summary: 'Normalizes each channel of each example by its own mean and variance, then scales and shifts it.',
  parameters: [1, 2],
  infer: ({ inputs: [x] }) => [x],
  evaluate: (context) => normalizeGroups(context, context.inputs[0]!.shape[1]),
  gradient: ({ node, inputs, outputGradients, wants, shape, emit, literal }) => {
    const [x, scale] = inputs as [string, string, string]
    const dy = outputGradients[0]!
    const spatial = literal(int64(shape(x).flatMap((_, axis) => (axis < 2 ? [] : [axis]))))
    const rest = literal(int64(axesButChannel(shape(x).length)))
    const mean = (value: string) => emit('ReduceMean', [value, spatial], { keepdims: 1 })
    const centred = emit('Sub', [x, mean(x)])
    const variance = mean(emit('Mul', [centred, centred]))
    const epsilon = literal(floatAttribute(node, 'epsilon', 1e-5), x)
    const inverse = emit('Reciprocal', [emit('Sqrt', [emit('Add', [variance, epsilon])])])
    const normal = emit('Mul', [centred, inverse])
    const byX = () => {
      const gain = emit('Reshape', [scale, literal(int64(channelShape(shape(x))))])
      const along = emit('Mul', [normal, mean(emit('Mul', [dy, normal]))])
      return emit('Mul', [emit('Mul', [inverse, gain]), emit('Sub', [emit('Sub', [dy, mean(dy)]), along])])
    }
    return [
      wants(0) ? byX() : undefined,
      wants(1) ? emit('ReduceSum', [emit('Mul', [dy, normal]), rest], { keepdims: 0 }) : undefined,
      wants(2) ? emit('ReduceSum', [dy, rest], { keepdims: 0 }) : undefined,
    ]
  },
  coupling: () => [
    {
      ports: [
        { side: 'input', index: 0, axis: 1 },
        { side: 'input', index: 1, axis: 0 },
        { side: 'input', index: 2, axis: 0 },
        { side: 'output', index: 0, axis: 1 },
      ],
    },
  ],
  samples: [
    { name: 'images', inputs: [noise(1, [2, 3, 3, 4]), noise(2, [3]), noise(3, [3])] },
    {
      name: 'one-dimensional, epsilon',
      inputs: [noise(1, [2, 2, 5]), noise(2, [2]), noise(3, [2])],
      attributes: { epsilon: float(0.01) },
    },
  ],
})
