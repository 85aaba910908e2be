import { allocateElements, elementsOf, fromElements } from '../../tensor/elements.ts'
import { elementCount } from '../../tensor/tensor.ts'
import { noise } from '../families/noise.ts'
import { intAttribute, type Dim, type Node, type TensorType } from '../model.ts'
import { defineOperator } from '../operator.ts'
import { windowError } from '../windows.ts'

/**
 * [batch, channels, height * b, width * b] -> [batch, b * b * channels, height, width] with b = `blocksize`; the block's
 * row and column are the slow part of the channel index. Its gradient is DepthToSpace in mode DCR.
 */
export const spaceToDepth = defineOperator({
  type: 'SpaceToDepth',
  since: 13,
  summary: 'Stacks blocks of pixels as groups of channels.',
  infer: ({ node, inputs: [x] }) => [inferSpaceToDepth(node, x)],
  evaluate: ({ node, inputs: [x] }) => {
    const size = intAttribute(node, 'blocksize', 1)
    const [, channels, rows, columns] = x!.shape
    const shape = inferSpaceToDepth(node, x!)!.shape as number[]
    const [, depth, height, width] = shape
    const source = elementsOf(x!)
    const result = allocateElements(x!.dtype, elementCount(shape))
    for (let i = 0; i < result.length; i++) {
      const column = i % width
      const row = Math.floor(i / width) % height
      const slot = Math.floor(i / (width * height)) % depth
      const image = Math.floor(i / (width * height * depth))
      const [channel, block] = [slot % channels, Math.floor(slot / channels)]
      const line = (image * channels + channel) * rows + row * size + Math.floor(block / size)
      result[i] = source[line * columns + column * size + (block % size)] as never
    }
    return [fromElements(x!.dtype, shape, result)]
  },
  gradient: ({ node, outputGradients: [dy], emit }) => [
    emit('DepthToSpace', [dy], { blocksize: intAttribute(node, 'blocksize', 1), mode: 'DCR' }),
  ],
  samples: [
    { name: 'blocks of two', inputs: [noise(1, [2, 2, 4, 6])], attributes: { blocksize: 2 } },
    { name: 'blocks of three', inputs: [noise(1, [1, 1, 3, 6])], attributes: { blocksize: 3 } },
  ],
})

function inferSpaceToDepth(node: Node, x: TensorType | undefined): TensorType | undefined {
  if (!x?.shape) return x
  const size = intAttribute(node, 'blocksize', 0)
  if (size < 1) throw windowError(node, 'blocksize must be at least 1')
  if (x.shape.length !== 4) throw windowError(node, `it takes images with 4 axes, not ${x.shape.length}`)
  const [batch, channels, rows, columns] = x.shape
  const shrunk = (length: Dim) => {
    if (typeof length !== 'number') return size === 1 ? length : null
    if (length % size !== 0) throw windowError(node, `${length} pixels do not divide into blocks of ${size}`)
    return length / size
  }
  const depth = typeof channels === 'number' ? channels * size ** 2 : size === 1 ? channels : null
  return { dtype: x.dtype, shape: [batch, depth, shrunk(rows), shrunk(columns)] }
}
