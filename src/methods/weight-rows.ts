import { intAttribute, type Model } from '../ir/model.ts'
import type { Layer } from '../ir/rewrite.ts'
import { elementCount } from '../tensor/tensor.ts'

/**
 * A layer's weight as a matrix: each row makes outputs as a product with the inputs that its layer sees at one place.
 * Element `k` of row `r` lies at `base[r] + k * stride` of the initializer.
 */
export interface WeightRows {
  readonly count: number
  /** Weights of a row: input channels of a group times the places of the kernel. */
  readonly length: number
  readonly base: Uint32Array
  readonly stride: number
  /** Groups of a convolution; the rows of a group see the same inputs, and lie side by side. */
  readonly groups: number
  /** The output channel that a row contributes to, for its bias. */
  readonly output: Uint32Array
  /** The one row a channel that makes all of its output: not in a transposed convolution, whose places are rows. */
  readonly whole: boolean
}

/** The rows of a layer; undefined where a Reshape or a batch of matrices hides which elements are summed. */
export function weightRows(model: Model, layer: Layer): WeightRows | undefined {
  const { node, outAxis, inAxis, source } = layer
  const shape = model.graph.initializers.get(layer.weight)!.shape
  if (outAxis === undefined || inAxis === undefined || outAxis === inAxis) return undefined
  if (shape.length === 2 && !node.op.startsWith('Conv')) {
    const [count, length] = [shape[outAxis], shape[inAxis]]
    const base = Uint32Array.from({ length: count }, (_, r) => (outAxis === 0 ? r * length : r))
    return plain(count, length, base, outAxis === 0 ? 1 : count, 1)
  }
  if (!node.op.startsWith('Conv') || source.some(({ op }) => op !== 'Cast' && op !== 'Identity')) return undefined
  const groups = intAttribute(node, 'group', 1)
  const taps = elementCount(shape.slice(2))
  if (node.op === 'Conv') {
    const length = shape[1] * taps
    return plain(
      shape[0],
      length,
      Uint32Array.from({ length: shape[0] }, (_, r) => r * length),
      1,
      groups,
    )
  }
  const length = shape[0] / groups
  const stride = shape[1] * taps
  const count = groups * stride
  const base = Uint32Array.from({ length: count }, (_, r) => {
    const group = Math.floor(r / stride)
    return group * length * stride + (r % stride)
  })
  const output = Uint32Array.from({ length: count }, (_, r) => Math.floor(r / taps))
  return { count, length, base, stride, groups, output, whole: taps === 1 }
}

/** Rows of which nothing is known but where they lie: one for each index of the first axis. */
export function anyRows(shape: readonly number[]): WeightRows {
  const length = elementCount(shape.slice(1))
  return {
    ...plain(
      shape[0],
      length,
      Uint32Array.from({ length: shape[0] }, (_, r) => r * length),
      1,
      1,
    ),
    whole: false,
  }
}

function plain(count: number, length: number, base: Uint32Array, stride: number, groups: number): WeightRows {
  return { count, length, base, stride, groups, output: Uint32Array.from({ length: count }, (_, r) => r), whole: true }
}
