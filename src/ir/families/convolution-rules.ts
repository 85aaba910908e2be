/** The shape, cost and channel rules that all operators of the Conv family share. */
import type { DType } from '../../tensor/dtype.ts'
import { convolutionMacs } from './convolution.ts'
import { intAttribute, intsAttribute, type Dim, type Node, type TensorType } from '../model.ts'
import { memoryCost, type ChannelTie, type Cost, type CostContext } from '../operator.ts'
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
 * The ties of a convolution whose x, w, bias are inputs `x`, `w`, `bias` and y is output 0.
 * With one group: input channels are axis 1 of x and w; filters are axis 0 of w, the bias and axis 1 of y.
 * With several: one channel of the tie is a whole group, of channels / groups input channels and filters / groups
 * filters, and the node's `group` falls with it. A depthwise convolution has one input channel a group.
 */
export function convolutionTies(
  group: number,
  w: readonly number[],
  ports: { readonly x: number; readonly w: number; readonly perFilter: readonly number[] },
): ChannelTie[] {
  const output = (repeat: number) => [
    { side: 'input' as const, index: ports.w, axis: 0, repeat },
    ...ports.perFilter.map((index) => ({ side: 'input' as const, index, axis: 0, repeat })),
    { side: 'output' as const, index: 0, axis: 1, repeat },
  ]
  if (group > 1)
    return [
      {
        ports: [{ side: 'input', index: ports.x, axis: 1, repeat: w[1] }, ...output(w[0] / group)],
        groups: group,
      },
    ]
  return [
    {
      ports: [
        { side: 'input', index: ports.x, axis: 1 },
        { side: 'input', index: ports.w, axis: 1 },
      ],
    },
    { ports: output(1) },
  ]
}
