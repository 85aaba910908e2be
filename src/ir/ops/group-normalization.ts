import { elementCount, int64 } from '../../tensor/tensor.ts'
import { axesButChannel, channelShape } from '../families/channels.ts'
import { noise } from '../families/noise.ts'
import { normalizeGroups } from '../families/normalization.ts'
import { float } from '../draft.ts'
import { floatAttribute, intAttribute } from '../model.ts'
import { defineOperator } from '../operator.ts'
import { windowError } from '../windows.ts'

/**
 * y = scale * (x - mean) / sqrt(variance + epsilon) + bias, with mean and variance over `num_groups` groups of
 * consecutive channels of x [batch, channels, ...spatial]; scale and bias are [channels], as from opset 21 on.
 * Channels can only be cut in whole groups, and num_groups falls with them.
 */
export const groupNormalization = defineOperator({
  type: 'GroupNormalization',
  since: 21,
  summary: 'Normalizes groups of channels by their mean and variance, then scales and shifts each channel.',
  parameters: [1, 2],
  infer: ({ node, inputs: [x] }) => {
    const channels = x?.shape?.[1]
    const groups = intAttribute(node, 'num_groups', 1)
    if (typeof channels === 'number' && (groups < 1 || channels % groups !== 0))
      throw windowError(node, `${channels} channels do not divide into ${groups} groups`)
    return [x]
  },
  evaluate: (context) => normalizeGroups(context, intAttribute(context.node, 'num_groups', 1)),
  gradient: ({ node, inputs, outputGradients, wants, shape, emit, literal }) => {
    const [x, scale] = inputs as [string, string, string]
    const dy = outputGradients[0]!
    const full = literal(int64([...shape(x)]))
    const [batch, channels, ...spatial] = shape(x)
    const groups = intAttribute(node, 'num_groups', 1)
    const grouped = literal(int64([batch, groups, (channels / groups) * elementCount(spatial)]))
    const split = (value: string) => emit('Reshape', [value, grouped])
    const mean = (value: string) => emit('ReduceMean', [value, literal(int64([2]))], { keepdims: 1 })
    const rows = split(x)
    const centred = emit('Sub', [rows, mean(rows)])
    const variance = mean(emit('Mul', [centred, centred]))
    const epsilon = literal(floatAttribute(node, 'epsilon', 1e-5), x)
    const inverse = emit('Reciprocal', [emit('Sqrt', [emit('Add', [variance, epsilon])])])
    const normal = emit('Mul', [centred, inverse])
    const rest = literal(int64(axesButChannel(shape(x).length)))
    const byX = () => {
      const dNormal = split(emit('Mul', [dy, emit('Reshape', [scale, literal(int64(channelShape(shape(x))))])]))
      const along = emit('Mul', [normal, mean(emit('Mul', [dNormal, normal]))])
      const dRows = emit('Mul', [inverse, emit('Sub', [emit('Sub', [dNormal, mean(dNormal)]), along])])
      return emit('Reshape', [dRows, full])
    }
    const byScale = () => emit('ReduceSum', [emit('Mul', [dy, emit('Reshape', [normal, full])]), rest], { keepdims: 0 })
    return [
      wants(0) ? byX() : undefined,
      wants(1) ? byScale() : undefined,
      wants(2) ? emit('ReduceSum', [dy, rest], { keepdims: 0 }) : undefined,
    ]
  },
  coupling: ({ node, inputs: [x] }) => {
    const repeat = x!.shape[1] / intAttribute(node, 'num_groups', 1)
    return [
      {
        ports: [
          { side: 'input', index: 0, axis: 1, repeat },
          { side: 'input', index: 1, axis: 0, repeat },
          { side: 'input', index: 2, axis: 0, repeat },
          { side: 'output', index: 0, axis: 1, repeat },
        ],
      },
    ]
  },
  cut: ({ node, inputs: [x], keptInputs: [kept] }) => {
    const size = x!.shape[1] / intAttribute(node, 'num_groups', 1)
    const groups = (kept?.[1]?.length ?? x!.shape[1]) / size
    return { ...node, attributes: { ...node.attributes, num_groups: { kind: 'int', value: groups } } }
  },
  samples: [
    {
      name: 'two groups',
      inputs: [noise(1, [2, 4, 3, 2]), noise(2, [4]), noise(3, [4])],
      attributes: { num_groups: 2 },
    },
    {
      name: 'one-dimensional, epsilon',
      inputs: [noise(1, [1, 6, 3]), noise(2, [6]), noise(3, [6])],
      attributes: { num_groups: 3, epsilon: float(0.01) },
    },
  ],
})
