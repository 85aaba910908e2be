/** Softmax cross-entropy over the class axis 1, shared by the loss and its gradient. */
import { elementCount } from '../../tensor/tensor.ts'
import { intAttribute, stringAttribute, type Node } from '../model.ts'

type Numbers = Float32Array | Float64Array

/** log softmax along axis 1 of scores [batch, classes, ...positions]. */
export function logSoftmaxClasses(scores: Numbers, shape: readonly number[]): Float64Array {
  const result = Float64Array.from(scores)
  const [batch, classes] = shape
  const positions = elementCount(shape.slice(2))
  for (let n = 0; n < batch; n++)
    for (let p = 0; p < positions; p++) {
      const first = n * classes * positions + p
      let largest = Number.NEGATIVE_INFINITY
      for (let c = 0; c < classes; c++) largest = Math.max(largest, scores[first + c * positions])
      let sum = 0
      for (let c = 0; c < classes; c++) sum += Math.exp(scores[first + c * positions] - largest)
      const shift = largest + Math.log(sum)
      for (let c = 0; c < classes; c++) result[first + c * positions] -= shift
    }
  return result
}

/** The part of each label [batch, ...positions] in the loss: its class weight, zero where it is `ignore_index`. */
export function labelWeights(node: Node, labels: Numbers, classWeights: Numbers | undefined): Float64Array {
  const ignored = node.attributes.ignore_index ? intAttribute(node, 'ignore_index', 0) : undefined
  return Float64Array.from(labels, (label) => (label === ignored ? 0 : classWeights ? classWeights[label] : 1))
}

/** What a 'mean' divides by: the sum of the weights; 1 for the other reductions. */
export function lossDivisor(node: Node, weights: Float64Array): number {
  return stringAttribute(node, 'reduction', 'mean') === 'mean' ? weights.reduce((sum, weight) => sum + weight, 0) : 1
}

/** The flat index of the label's class in [batch, classes, ...positions], for label number `i` of [batch, ...positions]. */
export function classIndex(shape: readonly number[], i: number, label: number): number {
  const positions = elementCount(shape.slice(2))
  return (Math.floor(i / positions) * shape[1] + label) * positions + (i % positions)
}
