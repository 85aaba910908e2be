/** DepthToSpace and SpaceToDepth: a Reshape, a Transpose and a Reshape. */
import { rowMajorStrides } from '../../tensor/shape.ts'
import { int64, reshaped } from '../../tensor/tensor.ts'
import { intAttribute, type Dim, type Node } from '../model.ts'
import { defineOperator, type ChannelPort, type Operator, type Sample } from '../operator.ts'
import { nodeError, required } from './axes.ts'
import { range, takeStrided } from './movement.ts'

export interface SpaceLayout {
  /** The input's shape with the blocks on axes of their own, six axes. */
  readonly split: readonly number[]
  readonly order: readonly number[]
  readonly merged: readonly number[]
}

export interface SpaceFacts {
  readonly type: string
  readonly since: number
  readonly summary: string
  /** How an image batch [N, C, H, W] is taken apart; sizes that do not divide come out as fractions. */
  readonly layout: (shape: readonly number[], block: number, node: Node) => SpaceLayout
  /** Which side has the channels of all pixels of a block, and whether those of one pixel lie together. */
  readonly packed: { readonly side: 'input' | 'output'; readonly byPixel: (node: Node) => boolean }
  readonly samples: readonly Sample[]
}

/** Defines an operator that moves elements between channels and pixels. */
export function defineSpaceOperator({ layout, packed, ...facts }: SpaceFacts): Operator {
  const checked = (node: Node, shape: readonly number[]): SpaceLayout => {
    const block = intAttribute(node, 'blocksize', 0)
    const found = layout(shape, block, node)
    if (shape.length !== 4 || !found.merged.every(Number.isInteger))
      throw nodeError(node, 'block-size', `blocks of ${block} do not divide [${shape.join(', ')}]`)
    return found
  }
  return defineOperator({
    ...facts,
    infer: ({ node, inputs: [x] }) => {
      if (!x?.shape) return [x && { dtype: x.dtype }]
      const sizes = x.shape.map((size) => (typeof size === 'number' ? size : Number.NaN))
      if (!sizes.slice(1).some(Number.isNaN)) {
        const batch = x.shape[0]
        const { merged } = checked(node, [1, ...sizes.slice(1)])
        return [{ dtype: x.dtype, shape: [batch, ...merged.slice(1)] }]
      }
      const { merged } = layout(sizes, intAttribute(node, 'blocksize', 0), node)
      const shape = merged.map((size, axis): Dim => (axis === 0 ? x.shape![0] : Number.isNaN(size) ? null : size))
      return [{ dtype: x.dtype, shape }]
    },
    evaluate: (context) => {
      const x = required(context, 0)
      const { split, order, merged } = checked(context.node, x.shape)
      const strides = rowMajorStrides(split)
      const moved = takeStrided(
        x,
        order.map((axis) => split[axis]),
        order.map((axis) => strides[axis]),
      )
      return [reshaped(moved, merged)]
    },
    gradient: ({ node, inputs: [x], outputGradients: [dy], emit, literal, shape }) => {
      const { split, order } = checked(node, shape(x!))
      const apart = emit('Reshape', [dy, literal(int64(order.map((axis) => split[axis])))])
      const back = emit('Transpose', [apart], { perm: order.map((_, axis) => order.indexOf(axis)) })
      return [emit('Reshape', [back, literal(int64(shape(x!)))])]
    },
    /** A channel of the large image is tied to those that its pixels become. */
    coupling: ({ node, inputs: [x], outputs: [y] }) => {
      const plain = packed.side === 'input' ? ('output' as const) : ('input' as const)
      const channels = packed.side === 'input' ? y.shape[1] : x!.shape[1]
      const pixels = intAttribute(node, 'blocksize', 1) ** 2
      const parts: ChannelPort[] = packed.byPixel(node)
        ? range(0, pixels).map((pixel) => ({ side: packed.side, index: 0, axis: 1, offset: pixel * channels }))
        : [{ side: packed.side, index: 0, axis: 1, repeat: pixels }]
      return [{ ports: [{ side: plain, index: 0, axis: 1 }, ...parts], count: channels }]
    },
  })
}
