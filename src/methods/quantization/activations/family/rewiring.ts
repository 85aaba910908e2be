/** How a layer comes to read a quantized input, and to have its result scaled for that. */
import type { Draft } from '../../../../ir/draft.ts'
import { floatAttribute, type Dim, type Node } from '../../../../ir/model.ts'
import type { Layer } from '../../../../ir/rewrite.ts'
import { float32, int64 } from '../../../../tensor/tensor.ts'

/** The result of a layer on its quantized input, without bias. */
export interface LayerProduct<Options> {
  readonly draft: Draft
  readonly layer: Layer
  /** The value that the layer's input was quantized from. */
  readonly x: string
  /** Its shape as far as it can be told. */
  readonly shape: readonly Dim[] | undefined
  readonly product: string
  readonly options: Options
  /** A float32 scalar. */
  literal(value: number): string
}

/**
 * Lets the layer read `value`. With `scale` its result goes through that before the bias is added.
 * @param rank how many axes the layer's input has.
 * @returns whether it was done: not where `scale` returns undefined.
 */
export function readInstead(
  draft: Draft,
  { node, input, name }: Layer,
  value: string,
  scale?: (product: string) => string | undefined,
  rank = 2,
): boolean {
  const changed = { ...node, inputs: node.inputs.map((old, i) => (i === 1 - input ? value : old)) }
  const at = draft.nodes.indexOf(node)
  if (!scale) {
    draft.nodes[at] = changed
    return true
  }
  const [output] = node.outputs
  const product = draft.fresh(`${output}.product`)
  const scaled = scale(product)
  if (scaled === undefined) return false
  const bias = biasOf(draft, node, rank)
  // The layer keeps its name also where it had none but its output's.
  draft.nodes[at] = { ...changed, name, inputs: changed.inputs.slice(0, 2), outputs: [product] }
  const last = bias ? draft.add('Add', [scaled, bias]) : scaled
  const lastAt = draft.nodes.findIndex(({ outputs }) => outputs[0] === last)
  draft.nodes[lastAt] = { ...draft.nodes[lastAt], outputs: [output] }
  return true
}

/** The bias of Conv and Gemm in the shape in which it is added to the result. */
function biasOf(draft: Draft, node: Node, rank: number): string | undefined {
  const bias = node.inputs[2]
  if (!bias) return undefined
  if (node.op === 'Conv') {
    const along = Array.from({ length: rank - 1 }, (_, i) => (i === 0 ? -1 : 1))
    return draft.add('Reshape', [bias, draft.constant('bias.shape', int64(along))], {}, { name: `${bias}.along` })
  }
  const beta = floatAttribute(node, 'beta', 1)
  return beta === 1 ? bias : draft.add('Mul', [bias, draft.constant('beta', float32([beta], []))])
}
