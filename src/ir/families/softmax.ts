/** What Softmax and LogSoftmax share. */
import { toNumbers } from '../../tensor/elements.ts'
import { elementCount, type Tensor } from '../../tensor/tensor.ts'
import { intAttribute, type Node } from '../model.ts'
import { normalizeAxis } from './axes.ts'

/** The axis over which the probabilities add up to one. */
export function softmaxAxis(node: Node, rank: number): number {
  return normalizeAxis(intAttribute(node, 'axis', -1), rank, node)
}

/** x - max - ln sum exp(x - max) along an axis, in double precision. */
export function logSoftmaxOf(tensor: Tensor, axis: number): Float64Array {
  const size = tensor.shape[axis]
  const inner = elementCount(tensor.shape.slice(axis + 1))
  const values = toNumbers(tensor)
  const result = new Float64Array(values.length)
  for (let outer = 0; outer < values.length; outer += size * inner)
    for (let start = outer; start < outer + inner; start++) {
      let high = Number.NEGATIVE_INFINITY
      for (let i = 0; i < size; i++) high = Math.max(high, values[start + i * inner])
      let total = 0
      for (let i = 0; i < size; i++) total += Math.exp(values[start + i * inner] - high)
      const shift = high + Math.log(total)
      for (let i = 0; i < size; i++) result[start + i * inner] = values[start + i * inner] - shift
    }
  return result
}
