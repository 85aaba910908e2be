/** The shape, cost and channel rules that all operators of the Conv family share. */
import type { DType } from '../../tensor/dtype.ts'
import { convolutionMacs } from './convolution.ts'
import { intAttribute, intsAttribute, type Dim, type Node, type TensorType } from '../model.ts'
import {
  memoryCost,
  type ChannelPort,
  type ChannelTie,
  type Cost,
  type CostContext,
  type CutContext,
} from '../operator.ts'
import { windowAttributes, windowCounts, windowError, windowsOf, type Windows } from '../windows.ts'

/** The sizes of the kernel: from the weight's shape, or the attribute where the weight's is not static. */
export function kernelOf(node: Node, weight: readonly Dim[] | undefined): number[] | undefined {
  const sizes = weight?.slice(2)
  if (sizes?.every((size) => typeof size === 'number')) return sizes
  return intsAttribute(node, 'kernel_shape')
}

/**
 * The type of y from x [batch, channels, ...spatial] and w [filters, channels / groups, ...kernel].
 * @throws ModelError when channels, groups and kernel do not fit.
 */
export function inferConvolution(
  node: Node,
  x: TensorType | undefined,
  w: TensorType | undefined,
  dtype: DType,
): TensorType {
  const kernel = kernelOf(node, w?.shape)
  if (!x?.shape || !kernel) return { dtype }
  if (x.shape.length < 3) throw windowError(node, `its input needs a batch, a channel and a spatial axis`)
  const group = intAttribute(node, 'group', 1)
  const [filters, groupChannels] = w?.shape ?? [null, null]
  const channels = x.shape[1]
  if (typeof channels === 'number' && typeof groupChannels === 'number' && channels !== groupChannels * group)
    throw windowError(node, `its input has ${channels} channels, its weight wants ${groupChannels} * ${group} groups`)
  if (group < 1 || (typeof filters === 'number' && filters % group !== 0))
    throw windowError(node, `${filters} filters do not divide into ${group} groups`)
  const spatial = x.shape.slice(2)
  return { dtype, shape: [x.shape[0], filters, ...windowCounts(node, spatial, windowsOf(node, spatial, kernel))] }
}

/** The static windows of a node of the family, from the shapes of x and w. */
export function convolutionWindows(node: Node, x: readonly number[], w: readonly number[]): Windows {
  return windowsOf(node, x.slice(2), w.slice(2))
}

/** The attributes that a gradient operator takes over from the forward node, with auto_pad resolved. */
export function convolutionAttributes(
  node: Node,
  x: readonly number[],
  w: readonly number[],
): { strides: number[]; pads: number[]; dilations: number[]; group: number } {
  return { ...windowAttributes(convolutionWindows(node, x, w)), group: intAttribute(node, 'group', 1) }
}

/** The cost of the direct algorithm: `convolutionMacs` and one pass over the operands. */
export function convolutionCost(context: CostContext, w: readonly number[], y: readonly number[]): Cost {
  return { ...memoryCost(context), macs: convolutionMacs({ w, y }) }
}

/**
 * The ties of a convolution whose x, w and values a filter are inputs `x`, `w`, `perFilter` and y is output 0.
 * Input channels are axis 1 of x and w; filters are axis 0 of w, the values a filter and axis 1 of y.
 * With several groups the channel of a tie is one of each group, at the same place in all, so that the groups stay equal.
 * Where a group has one input channel, as in a depthwise convolution, it is the whole group, and `group` falls with it.
 */
export function convolutionTies(
  groups: number,
  w: readonly number[],
  ports: { readonly x: number; readonly w: number; readonly perFilter: readonly number[] },
): ChannelTie[] {
  const side = 'input' as const
  const made = [ports.w, ...ports.perFilter].map((index): ChannelPort => ({ side, index, axis: 0 }))
  const filters: ChannelPort[] = [...made, { side: 'output', index: 0, axis: 1 }]
  const read: ChannelPort = { side, index: ports.x, axis: 1 }
  if (groups > 1 && w[1] === 1)
    return [{ ports: [read, ...filters.map((port) => ({ ...port, repeat: w[0] / groups }))] }]
  return [
    { ports: [...eachGroup([read], groups, w[1]), { side, index: ports.w, axis: 1 }], count: w[1] },
    { ports: eachGroup(filters, groups, w[0] / groups), count: w[0] / groups },
  ]
}

/** The ports of one channel of each group, of `size` channels each. */
export function eachGroup(ports: readonly ChannelPort[], groups: number, size: number): ChannelPort[] {
  return Array.from({ length: groups }, (_, group) => ports.map((port) => ({ ...port, offset: group * size }))).flat()
}

/** The node of the Conv family with as many groups as are left: only those of one input channel each go as a whole. */
export function cutGroups({ node, inputs, keptInputs }: CutContext, ports: { x: number; groupChannels: number }): Node {
  const groups = intAttribute(node, 'group', 1)
  const kept = keptInputs[ports.x]?.[1]
  if (groups === 1 || !kept || ports.groupChannels > 1 || inputs[ports.x]!.shape[1] === kept.length) return node
  return { ...node, attributes: { ...node.attributes, group: { kind: 'int', value: kept.length } } }
}
