/** Channels that have one value everywhere, whatever the input of the model is. */
import { fromNumbers, toNumbers } from '../tensor/elements.ts'
import { elementCount, type Tensor } from '../tensor/tensor.ts'
import { firstSlot, type ChannelMap, type NodeTie } from './channels.ts'
import type { ConstantValues } from './constant-values.ts'
import { broadcastTies } from './families/broadcast.ts'
import { layerWeights } from './layer-weights.ts'
import { floatAttribute, intAttribute, intsAttribute, operatorKey, stringAttribute, type Node } from './model.ts'
import type { CostContext } from './operator.ts'
import { operators } from './ops/index.ts'

/** Operators that compute each element from the elements at the same place, besides those that broadcast. */
const pointwise = new Set('BatchNormalization Cast Clip DequantizeLinear Dropout Identity QuantizeLinear'.split(' '))

/** Operators that hand on a channel of one value as it is: they move elements, or take a mean or an extreme of them. */
const carrying = new Set(
  `AveragePool Concat Expand Flatten Gather GlobalAveragePool GlobalMaxPool MaxPool Pad ReduceMax ReduceMean ReduceMin
  Reshape Resize Slice Split Squeeze Tile Transpose Unsqueeze`.split(/\s+/),
)

/** By slot the value that all elements at that place have; NaN where they differ or nobody knows. */
export type ConstantSlots = Float64Array

/** Follows constants through the graph: a filter of zeros gives its bias, what follows a function of that, and so on. */
export function constantSlots(map: ChannelMap, values: ConstantValues): ConstantSlots {
  const known = new Float64Array(map.slots.count).fill(Number.NaN)
  for (const node of map.model.graph.nodes) {
    const context = map.context(node)
    if (!context || values(node.outputs[0])) continue
    if (layerWeights(node, values(node.inputs[1] ?? ''), context.inputs[0]?.shape.length ?? 0)) {
      layerSlots(node, context, map, values, known)
      continue
    }
    for (const tie of map.ties.get(node)!) {
      const outputs = tie.ports.filter(({ side }) => side === 'output')
      for (let channel = 0; channel < (outputs.length > 0 ? tie.count : 0); channel++) {
        const value = tieValue({ node, context, tie, channel, values, known })
        if (Number.isNaN(value)) continue
        for (const port of outputs)
          for (let i = 0; i < (port.repeat ?? 1); i++) known[firstSlot(port, channel) + i] = value
      }
    }
  }
  return known
}

/** A filter gives its bias where each of its weights is zero or reads a channel of zeros. */
function layerSlots(
  node: Node,
  context: CostContext,
  { slots }: ChannelMap,
  values: ConstantValues,
  known: ConstantSlots,
): void {
  const layer = layerWeights(node, values(node.inputs[1]), context.inputs[0]!.shape.length)!
  const input = slots.axesOf(node.inputs[0])![layer.dataAxis].first
  const output = slots.axesOf(node.outputs[0])![layer.outputAxis].first
  const alive = new Uint8Array(layer.filters)
  layer.forEach((filter, channel, value) => {
    if (value !== 0 && known[input + channel] !== 0) alive[filter] = 1
  })
  const bias = biasOf(node, values, layer.filters)
  if (bias)
    for (let filter = 0; filter < layer.filters; filter++) if (!alive[filter]) known[output + filter] = bias[filter]
}

/** What a layer adds to each filter: zeros without a bias; undefined where it is not known or differs by row. */
export function biasOf(node: Node, values: ConstantValues, filters: number): Float64Array | undefined {
  if (operatorKey(node) === 'MatMul' || !node.inputs[2]) return new Float64Array(filters)
  const tensor = values(node.inputs[2])
  const width = tensor?.shape.at(-1) ?? 1
  if (!tensor || elementCount(tensor.shape) !== width) return undefined
  const factor = operatorKey(node) === 'Gemm' ? floatAttribute(node, 'beta', 1) : 1
  const numbers = toNumbers(tensor)
  return Float64Array.from({ length: filters }, (_, filter) => factor * numbers[width === 1 ? 0 : filter])
}

interface Step {
  readonly node: Node
  readonly context: CostContext
  readonly tie: NodeTie
  readonly channel: number
  readonly values: ConstantValues
  readonly known: ConstantSlots
}

function tieValue(step: Step): number {
  const { node, context } = step
  const key = operatorKey(node)
  if (operators.get(key)!.coupling === broadcastTies || pointwise.has(key)) return pointwiseValue(step)
  if (!carrying.has(key)) return Number.NaN
  const made = madeUpValue(node, context)
  if (key === 'Pad' && !step.tie.ports.some(({ side }) => side === 'input')) return made ?? Number.NaN
  const value = sharedValue(step)
  return made === undefined || made === value ? value : Number.NaN
}

/** What an operator puts among the elements of its input; undefined where it puts nothing. */
function madeUpValue(node: Node, { inputs, outputs, constant }: CostContext): number | undefined {
  switch (node.op) {
    case 'AveragePool': {
      const pads = intsAttribute(node, 'pads') ?? []
      const padded = stringAttribute(node, 'auto_pad', 'NOTSET').startsWith('SAME') || pads.some((pad) => pad !== 0)
      return padded && intAttribute(node, 'count_include_pad', 0) === 1 ? 0 : undefined
    }
    case 'Pad': {
      const grows = outputs[0].shape.some((size, axis) => size > inputs[0]!.shape[axis])
      if (!grows || stringAttribute(node, 'mode', 'constant') !== 'constant') return undefined
      const value = constant?.(2)
      return inputs[2] ? (value ? toNumbers(value)[0] : Number.NaN) : 0
    }
    case 'Resize':
      return stringAttribute(node, 'coordinate_transformation_mode', '') === 'tf_crop_and_resize'
        ? Number.NaN
        : undefined
    default:
      return undefined
  }
}

/** The one value of all input places of the channel; NaN without such. */
function sharedValue({ tie, channel, known, values }: Step): number {
  let shared: number | undefined
  for (const port of tie.ports) {
    if (port.side !== 'input') continue
    const constant = values(port.at.value)
    for (let i = 0; i < (port.repeat ?? 1); i++) {
      const slot = firstSlot(port, channel) + i
      const value = constant ? uniformAt(constant, port.axis, slot - port.at.first) : known[slot]
      if (Number.isNaN(value) || (shared !== undefined && shared !== value)) return Number.NaN
      shared = value
    }
  }
  return shared ?? Number.NaN
}

/** Evaluates the operator on one element of the channel. */
function pointwiseValue({ node, context, tie, channel, values, known }: Step): number {
  const elements: number[] = []
  const order = context.inputs.map((_, index) => index).toSorted((a, b) => isKnown(a) - isKnown(b))
  function isKnown(index: number): number {
    return values(node.inputs[index] ?? '') ? 1 : 0
  }
  for (const index of order) {
    const constant = values(node.inputs[index] ?? '')
    const ports = tie.ports.filter((port) => port.side === 'input' && port.index === index)
    const [port] = ports
    if (ports.length === 1 && (port.repeat ?? 1) === 1) {
      const slot = firstSlot(port, channel)
      elements[index] = constant ? uniformAt(constant, port.axis, slot - port.at.first) : known[slot]
    } else elements[index] = ports.length === 0 && constant ? uniformAt(constant) : Number.NaN
    if (elements[index] === 0 && operatorKey(node) === 'Mul') return 0
    if (Number.isNaN(elements[index]) && context.inputs[index] && operatorKey(node) !== 'Mul') return Number.NaN
  }
  if (elements.some((element, index) => context.inputs[index] && Number.isNaN(element))) return Number.NaN
  const inputs = context.inputs.map(
    (input, index) => input && fromNumbers(input.dtype, elementShape(node, index, input.shape), [elements[index]]),
  )
  return toNumbers(operators.get(operatorKey(node))!.evaluate!({ node, inputs })[0])[0]
}

/** The shape of one element as the operator expects it of that input. */
function elementShape(node: Node, index: number, shape: readonly number[]): number[] {
  if (index > 0 && node.op.endsWith('Linear')) return []
  return shape.map(() => 1)
}

/** The value of all elements at a place of an axis, or of all; NaN where they differ. */
export function uniformAt(tensor: Tensor, axis?: number, place = 0): number {
  const values = toNumbers(tensor)
  const inner = axis === undefined ? values.length : elementCount(tensor.shape.slice(axis + 1))
  const step = axis === undefined ? values.length : inner * tensor.shape[axis]
  const first = values[place * inner]
  for (let start = place * inner; start < values.length; start += step)
    for (let i = start; i < start + inner; i++) if (values[i] !== first) return Number.NaN
  return first ?? Number.NaN
}
