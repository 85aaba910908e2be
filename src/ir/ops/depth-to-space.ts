import { allocateElements, elementsOf, fromElements } from '../../tensor/elements.ts'
import { elementCount, int64 } from '../../tensor/tensor.ts'
import { noise } from '../families/noise.ts'
import { intAttribute, stringAttribute, type Dim, type Node, type TensorType } from '../model.ts'
import { defineOperator } from '../operator.ts'
import { windowError } from '../windows.ts'

/**
 * [batch, channels * b * b, height, width] -> [batch, channels, height * b, width * b] with b = `blocksize`. In mode DCR
 * the block's row and column are the slow part of the channel index, in mode CRD the fast one.
 */
export const depthToSpace = defineOperator({
  type: 'DepthToSpace',
  since: 13,
  summary: 'Lays groups of channels out as blocks of pixels.',
  infer: ({ node, inputs: [x] }) => [inferDepthToSpace(node, x)],
  evaluate: ({ node, inputs: [x] }) => {
    const size = intAttribute(node, 'blocksize', 1)
    const [batch, channels, height, width] = inferDepthToSpace(node, x!)!.shape as number[]
    const slow = stringAttribute(node, 'mode', 'DCR') === 'DCR'
    const source = elementsOf(x!)
    const result = allocateElements(x!.dtype, elementCount(x!.shape))
    for (let i = 0; i < result.length; i++) {
      const column = i % width
      const row = Math.floor(i / width) % height
      const channel = Math.floor(i / (width * height)) % channels
      const image = Math.floor(i / (width * height * channels))
      const block = (row % size) * size + (column % size)
      const depth = slow ? block * channels + channel : channel * size * size + block
      const line = (image * channels * size * size + depth) * (height / size) + Math.floor(row / size)
      result[i] = source[line * (width / size) + Math.floor(column / size)] as never
    }
    return [fromElements(x!.dtype, [batch, channels, height, width], result)]
  },
  /** The inverse: blocks split off by Reshape, brought to the channels by Transpose. */
  gradient: ({ node, inputs: [x], outputGradients: [dy], shape, emit, literal }) => {
    const size = intAttribute(node, 'blocksize', 1)
    const [batch, depth, height, width] = shape(x!)
    const blocks = literal(int64([batch, depth / size ** 2, height, size, width, size]))
    const perm = stringAttribute(node, 'mode', 'DCR') === 'DCR' ? [0, 3, 5, 1, 2, 4] : [0, 1, 3, 5, 2, 4]
    const moved = emit('Transpose', [emit('Reshape', [dy, blocks])], { perm })
    return [emit('Reshape', [moved, literal(int64([...shape(x!)]))])]
  },
  samples: [
    { name: 'DCR', inputs: [noise(1, [2, 8, 2, 3])], attributes: { blocksize: 2 } },
    { name: 'CRD', inputs: [noise(1, [1, 18, 1, 2])], attributes: { blocksize: 3, mode: 'CRD' } },
  ],
})

function inferDepthToSpace(node: Node, x: TensorType | undefined): TensorType | undefined {
  if (!x?.shape) return x
  const size = intAttribute(node, 'blocksize', 0)
  if (size < 1) throw windowError(node, 'blocksize must be at least 1')
  if (x.shape.length !== 4) throw windowError(node, `it takes images with 4 axes, not ${x.shape.length}`)
  const [batch, depth, height, width] = x.shape
  if (typeof depth === 'number' && depth % size ** 2 !== 0)
    throw windowError(node, `${depth} channels do not make blocks of ${size} by ${size}`)
  const grown = (length: Dim) => (typeof length === 'number' ? length * size : size === 1 ? length : null)
  const channels = typeof depth === 'number' ? depth / size ** 2 : size === 1 ? depth : null
  return { dtype: x.dtype, shape: [batch, channels, grown(height), grown(width)] }
}
