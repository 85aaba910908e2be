/** Sizes that a graph computes although it could write them down. */
import { integersOf } from '../tensor/elements.ts'
import { int64 } from '../tensor/tensor.ts'
import { createDraft } from './draft.ts'
import { inferShapes } from './infer.ts'
import type { Dim, Model, Node } from './model.ts'

/**
 * The model in which a Reshape whose target is computed at run time has a constant one, where what is known of the shapes
 * says the same: sizes that are open are copied from the input, and one may be left to be found.
 */
export function writeSizes(model: Model): Model {
  const types = inferShapes(model)
  const { initializers } = model.graph
  const draft = createDraft(model)
  let changed = false
  for (const [position, node] of model.graph.nodes.entries()) {
    if (node.op !== 'Reshape' || node.domain !== '' || initializers.has(node.inputs[1])) continue
    const known = types.constant(node.inputs[1])
    const target = known
      ? integersOf(known)
      : targetOf(node, types.get(node.inputs[0])?.shape, types.get(node.outputs[0])?.shape)
    if (!target) continue
    const name = draft.constant(`${node.outputs[0]}.shape`, int64(target))
    draft.nodes[position] = { ...node, inputs: [node.inputs[0], name] }
    changed = true
  }
  return changed ? draft.finish() : model
}

function targetOf(node: Node, from: readonly Dim[] | undefined, to: readonly Dim[] | undefined): number[] | undefined {
  if (!from || !to || node.attributes['allowzero']) return undefined
  const target = to.map((size, axis) => {
    if (typeof size === 'number') return size
    return size !== null && from[axis] === size ? 0 : -1
  })
  return target.filter((size) => size === -1).length <= 1 && !to.includes(0) ? target : undefined
}
