import type { DType } from '../../tensor/dtype.ts'
import { fromNumbers, toNumbers } from '../../tensor/elements.ts'
import { elementCount, int64, type Tensor } from '../../tensor/tensor.ts'
import { axisTies } from '../families/broadcast.ts'
import { noise } from '../families/noise.ts'
import { float } from '../draft.ts'
import { floatAttribute, intAttribute, type Node } from '../model.ts'
import { defineOperator, type CutContext } from '../operator.ts'

/**
 * y[c] = x[c] / (bias + alpha / size * sum of x[j]^2)^beta, j from c - floor((size - 1) / 2) to c + ceil((size - 1) / 2)
 * among the channels of x [batch, channels, ...spatial].
 */
export const lrn = defineOperator({
  type: 'LRN',
  since: 13,
  summary:
    'Damps each element by the energy of the neighbouring channels: the local response normalization of AlexNet.',
  infer: ({ inputs: [x] }) => [x],
  evaluate: ({ node, inputs: [x] }) => {
    const { size, alpha, beta, bias } = settings(node)
    const values = toNumbers(x!)
    const channels = x!.shape[1]
    const plane = elementCount(x!.shape.slice(2))
    const [before, after] = [Math.floor((size - 1) / 2), Math.ceil((size - 1) / 2)]
    const y = values.map((value, i) => {
      const channel = Math.floor(i / plane) % channels
      let energy = 0
      for (let j = Math.max(0, channel - before); j <= Math.min(channels - 1, channel + after); j++)
        energy += values[i + (j - channel) * plane] ** 2
      return value * (bias + (alpha / size) * energy) ** -beta
    })
    return [fromNumbers(x!.dtype, x!.shape, y)]
  },
  /** With s = bias + alpha / size * (box * x^2): dx = dy * s^-beta - 2 alpha beta / size * x * (box' * (dy * x * s^(-beta - 1))). */
  gradient: ({ node, inputs, outputGradients, shape, dtype, emit, literal }) => {
    const { size, alpha, beta, bias } = settings(node)
    const x = inputs[0]!
    const dy = outputGradients[0]!
    const channels = shape(x)[1]
    const flat = literal(int64([shape(x)[0], channels, elementCount(shape(x).slice(2))]))
    const rows = emit('Reshape', [x, flat])
    const dRows = emit('Reshape', [dy, flat])
    const box = (transposed: boolean) => literal(boxMatrix(dtype(x), channels, size, transposed))
    const energy = emit('MatMul', [box(false), emit('Mul', [rows, rows])])
    const sum = emit('Add', [emit('Mul', [energy, literal(alpha / size, x)]), literal(bias, x)])
    const power = emit('Pow', [sum, literal(-beta, x)])
    const inner = emit('Div', [emit('Mul', [emit('Mul', [dRows, rows]), power]), sum])
    const spread = emit('Mul', [emit('MatMul', [box(true), inner]), literal((-2 * alpha * beta) / size, x)])
    const dx = emit('Add', [emit('Mul', [dRows, power]), emit('Mul', [rows, spread])])
    return [emit('Reshape', [dx, literal(int64([...shape(x)]))])]
  },
  coupling: (context) => axisTies(context, () => true),
  cut,
  samples: [
    { name: 'defaults', inputs: [noise(1, [2, 5, 2, 2])], attributes: { size: 3 } },
    {
      name: 'wide, strong',
      inputs: [noise(2, [1, 6, 2, 3])],
      attributes: { size: 5, alpha: float(0.5), beta: float(0.7), bias: float(1.5) },
    },
  ],
})

/** Channels that are gone still stand between their neighbours: zeros take their places while the node looks at them. */
function cut({ node, inputs: [x], keptInputs: [kept], literal, emit }: CutContext): Node {
  const channels = kept?.[1]
  if (!channels) return node
  const { size } = settings(node)
  const reach = Math.ceil((size - 1) / 2)
  const gap = channels.length
  const sources = channels.flatMap((channel, i) => {
    const missing = i === 0 ? 0 : channel - channels[i - 1] - 1
    return [...Array.from({ length: Math.min(missing, reach) }, () => gap), i]
  })
  if (sources.length === channels.length) return node
  const rank = x!.shape.length
  const pads = Array.from({ length: 2 * rank }, (_, i) => (i === rank + 1 ? 1 : 0))
  const padded = emit('Pad', [node.inputs[0], literal(int64(pads))])
  const spaced = emit('Gather', [padded, literal(int64(sources))], { axis: 1 })
  const places = sources.flatMap((source, place) => (source === gap ? [] : [place]))
  return {
    ...node,
    op: 'Gather',
    inputs: [emit('LRN', [spaced], node.attributes), literal(int64(places))],
    attributes: { axis: { kind: 'int', value: 1 } },
  }
}

function settings(node: Node): { size: number; alpha: number; beta: number; bias: number } {
  return {
    size: intAttribute(node, 'size', 1),
    alpha: floatAttribute(node, 'alpha', 1e-4),
    beta: floatAttribute(node, 'beta', 0.75),
    bias: floatAttribute(node, 'bias', 1),
  }
}

/** [channels, channels], 1 where the column's channel is in the row's window. */
function boxMatrix(dtype: DType, channels: number, size: number, transposed: boolean): Tensor {
  const [before, after] = [Math.floor((size - 1) / 2), Math.ceil((size - 1) / 2)]
  const inside = (c: number, j: number) => (j >= c - before && j <= c + after ? 1 : 0)
  const entry = (_: unknown, i: number) => {
    const [row, column] = [Math.floor(i / channels), i % channels]
    return transposed ? inside(column, row) : inside(row, column)
  }
  return fromNumbers(dtype, [channels, channels], Float64Array.from({ length: channels ** 2 }, entry))
}
