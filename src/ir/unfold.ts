/** Writes out the weights that a graph computes from codes. */
import { dtypes } from '../tensor/dtype.ts'
import { elementCount, type Tensor } from '../tensor/tensor.ts'
import { createDraft } from './draft.ts'
import { graphIndex, type GraphIndex } from './graph.ts'
import { operatorKey, type Model, type Node } from './model.ts'
import { operators } from './ops/index.ts'

/**
 * Replaces each `Gather(codebook, Cast(codes))` of constants whose result has at least `threshold` bytes by that result.
 * The codes are read as they are stored, so that the int32 copy that `Cast` stands for, as large as the weights, is never
 * made. Returns the same model where there is nothing to do.
 */
export function unfoldCodes(model: Model, threshold: number): Model {
  const { graph } = model
  const index = graphIndex(graph)
  const fed = new Set(graph.inputs.map(({ name }) => name))
  const constant = (name: string) => (fed.has(name) ? undefined : graph.initializers.get(name))
  const unfolded = new Map<string, Tensor>()
  const nodes = graph.nodes.filter((node) => {
    const inputs = codedInputs(node, index, constant)
    if (!inputs || index.isOutput(node.outputs[0])) return true
    const [codebook, codes] = inputs
    const width = dtypes[codebook.dtype].bits / 8
    if (codebook.shape.length !== 1 || elementCount(codes.shape) * width < threshold) return true
    const [result] = operators.get(operatorKey(node))!.evaluate!({ node, inputs })
    unfolded.set(node.outputs[0], result)
    return false
  })
  if (unfolded.size === 0) return model
  const draft = createDraft(model)
  draft.nodes.splice(0, draft.nodes.length, ...nodes)
  for (const [name, tensor] of unfolded) draft.initializers.set(name, tensor)
  return draft.finish()
}

/** The codebook and the codes, as they are stored, that a Gather reads through a Cast; undefined for all other nodes. */
function codedInputs(
  node: Node,
  index: GraphIndex,
  constant: (name: string) => Tensor | undefined,
): readonly [Tensor, Tensor] | undefined {
  if (node.op !== 'Gather' || node.domain !== '') return undefined
  const cast = index.producer(node.inputs[1])
  if (cast?.op !== 'Cast' || cast.domain !== '') return undefined
  const [codebook, codes] = [constant(node.inputs[0]), constant(cast.inputs[0])]
  if (!codebook || !codes || dtypes[codebook.dtype].kind !== 'float') return undefined
  const { kind, bits } = dtypes[codes.dtype]
  // Of wider integers a Cast may change the value.
  return kind === 'integer' && bits <= 16 ? [codebook, codes] : undefined
}
