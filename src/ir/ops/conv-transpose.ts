import { fromNumbers, toNumbers } from '../../tensor/elements.ts'
import { int64 } from '../../tensor/tensor.ts'
import { axesButChannel } from '../families/channels.ts'
import { convolveBack } from '../families/convolution.ts'
import { convolutionCost, cutGroups, eachGroup } from '../families/convolution-rules.ts'
import { noise } from '../families/noise.ts'
import { forwardWindows, inferTransposed, transposedGeometry } from '../families/transposed.ts'
import { intAttribute } from '../model.ts'
import { defineOperator, type ChannelPort, type ChannelTie, type CostContext, type Sample } from '../operator.ts'
import { windowAttributes } from '../windows.ts'

/**
 * The convolution read backwards: x [batch, channels, ...input], w [channels, filters / groups, ...kernel], bias
 * [filters] -> y [batch, filters, ...spatial]. It is what ConvGradX computes, so its gradients are a Conv and a ConvGradW.
 * Cost: batch * channels * inputs * (filters / groups) * kernel multiply-accumulates.
 */
export const convTranspose = defineOperator({
  type: 'ConvTranspose',
  since: 11,
  summary: 'Lays a weighted kernel over the output for each element of the input, and sums.',
  parameters: [1, 2],
  infer: ({ node, inputs: [x, w] }) => [inferTransposed(node, x, w)],
  evaluate: ({ node, inputs: [x, w, bias] }) => {
    const y = inferTransposed(node, x, w).shape as number[]
    const { windows } = transposedGeometry(node, x!.shape.slice(2), w!.shape.slice(2))
    const result = convolveBack(toNumbers(x!), toNumbers(w!), { x: y, w: w!.shape, y: x!.shape }, windows)
    if (bias) {
      const values = toNumbers(bias)
      const plane = result.length / (y[0] * y[1])
      for (let i = 0; i < result.length; i++) result[i] += values[Math.floor(i / plane) % y[1]]
    }
    return [fromNumbers(x!.dtype, y, result)]
  },
  gradient: ({ node, inputs: [x, w, bias], outputs: [y], outputGradients: [dy], wants, shape, emit, literal }) => {
    const input = shape(x!).slice(2)
    const kernel = shape(w!).slice(2)
    const { windows, surplus } = forwardWindows(transposedGeometry(node, input, kernel), input)
    const attributes = { ...windowAttributes(windows), group: intAttribute(node, 'group', 1) }
    const byX = () => {
      const dx = emit('Conv', [dy, w], { ...attributes, kernel_shape: kernel })
      if (!surplus) return dx
      const axes = input.map((_, axis) => axis + 2)
      return emit('Slice', [dx, literal(int64(axes.map(() => 0))), literal(int64([...input])), literal(int64(axes))])
    }
    return [
      wants(0) ? byX() : undefined,
      wants(1) ? emit('espalier.ConvGradW', [x, dy], { ...attributes, shape: shape(w!) }) : undefined,
      bias !== undefined && wants(2)
        ? emit('ReduceSum', [dy, literal(int64(axesButChannel(shape(y).length)))], { keepdims: 0 })
        : undefined,
    ]
  },
  cost: (context) => convolutionCost(context, context.inputs[1]!.shape, context.inputs[0]!.shape),
  coupling,
  cut: (context) => {
    const { node, inputs } = context
    return cutGroups(context, { x: 0, groupChannels: inputs[0]!.shape[1] / intAttribute(node, 'group', 1) })
  },
  samples: [
    sample('stride', [1, 3, 4, 3], [3, 2, 3, 3], { strides: [2, 2], pads: [1, 1, 1, 1] }),
    sample('output_padding', [1, 3, 4, 3], [3, 2, 3, 3], {
      strides: [2, 3],
      pads: [1, 0, 1, 2],
      output_padding: [1, 2],
    }),
    sample('output_shape', [1, 2, 4, 4], [2, 2, 3, 3], { strides: [2, 2], output_shape: [8, 7] }),
    sample('SAME_UPPER', [1, 2, 4, 3], [2, 2, 3, 4], { strides: [2, 2], auto_pad: 'SAME_UPPER' }),
    sample('SAME_LOWER', [1, 2, 4, 3], [2, 2, 3, 4], { strides: [2, 1], auto_pad: 'SAME_LOWER' }),
    sample('groups, dilation', [1, 4, 3, 3], [4, 2, 2, 3], { group: 2, dilations: [2, 1] }, 4),
    sample('depthwise', [1, 3, 3, 4], [3, 1, 3, 3], { group: 3, strides: [2, 2] }, 3),
    sample('one-dimensional', [2, 2, 5], [2, 3, 4], { strides: [3], pads: [1, 2] }),
  ],
})

/** As in Conv, with the weight's axes swapped. */
function coupling({ node, inputs }: CostContext): ChannelTie[] {
  const groups = intAttribute(node, 'group', 1)
  const [channels, groupFilters] = inputs[1]!.shape
  const side = 'input' as const
  const read: ChannelPort[] = [
    { side, index: 0, axis: 1 },
    { side, index: 1, axis: 0 },
  ]
  const made: ChannelPort[] = [
    ...(inputs[2] ? [{ side, index: 2, axis: 0 }] : []),
    { side: 'output', index: 0, axis: 1 },
  ]
  if (groups > 1 && channels === groups)
    return [{ ports: [...read, ...made.map((port) => ({ ...port, repeat: groupFilters }))] }]
  return [
    { ports: eachGroup(read, groups, channels / groups), count: channels / groups },
    { ports: [{ side, index: 1, axis: 1 }, ...eachGroup(made, groups, groupFilters)], count: groupFilters },
  ]
}

function sample(
  name: string,
  x: readonly number[],
  w: readonly number[],
  attributes: NonNullable<Sample['attributes']>,
  filters = w[1],
): Sample {
  return { name, inputs: [noise(1, x), noise(2, w), noise(3, [filters])], attributes }
}
