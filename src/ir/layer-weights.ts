/** The weights of a layer, one by one, with the output that each feeds and the input that it reads. */
import { toFloat32 } from '../tensor/half.ts'
import { elementCount, type Tensor } from '../tensor/tensor.ts'
import { intAttribute, operatorKey, type Node } from './model.ts'

/** A layer y = W x + b whose weight is a constant: the second input of a Conv, ConvTranspose, Gemm or MatMul. */
export interface LayerWeights {
  readonly weight: Tensor
  /** The axis of the input that is summed over. */
  readonly dataAxis: number
  /** The axis of the output that the filters make. */
  readonly outputAxis: number
  readonly filters: number
  readonly channels: number
  /** Calls `visit` for every weight with its filter and the channel that it reads, counted over all groups. */
  forEach(visit: (filter: number, channel: number, value: number) => void): void
}

/** The view of a node's weight; undefined where the node is no layer of that kind. */
export function layerWeights(node: Node, weight: Tensor | undefined, rank: number): LayerWeights | undefined {
  if (!weight) return undefined
  const { shape } = weight
  const key = operatorKey(node)
  const groups = intAttribute(node, 'group', 1)
  /** Rows lie in groups; the columns of a group are counted on from those of the groups before. */
  const view = (
    axes: Pick<LayerWeights, 'dataAxis' | 'outputAxis' | 'filters' | 'channels'>,
    rows: 'filters' | 'channels',
  ): LayerWeights => ({
    weight,
    ...axes,
    forEach(visit) {
      const values = toFloat32(weight)
      const [count, columns] = shape
      const taps = elementCount(shape.slice(2))
      let at = 0
      for (let row = 0; row < count; row++) {
        const first = Math.floor((row * groups) / count) * columns
        for (let column = first; column < first + columns; column++)
          for (let tap = 0; tap < taps; tap++)
            if (rows === 'filters') visit(row, column, values[at++])
            else visit(column, row, values[at++])
      }
    },
  })
  switch (key) {
    case 'Conv': {
      const [filters, size] = shape
      const axes = { dataAxis: 1, outputAxis: 1, filters, channels: size * groups }
      return view(axes, 'filters')
    }
    case 'ConvTranspose': {
      const [channels, size] = shape
      const axes = { dataAxis: 1, outputAxis: 1, filters: size * groups, channels }
      return view(axes, 'channels')
    }
    case 'Gemm':
    case 'MatMul': {
      if (shape.length !== 2 || rank < 2 || intAttribute(node, 'transA', 0) === 1) return undefined
      const transposed = intAttribute(node, 'transB', 0) === 1
      const [filters, channels] = transposed ? shape : [shape[1], shape[0]]
      const axes = { dataAxis: rank - 1, outputAxis: rank - 1, filters, channels }
      return view(axes, transposed ? 'filters' : 'channels')
    }
    default:
      return undefined
  }
}
