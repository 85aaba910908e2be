/** Channel shuffles, which networks write as Reshape, Transpose and Reshape, as what they are: a permutation. */
import { int64 } from '../tensor/tensor.ts'
import { createDraft } from './draft.ts'
import { graphIndex, type GraphIndex } from './graph.ts'
import { inferShapes, type TypeTable } from './infer.ts'
import { intsAttribute, type Model, type Node } from './model.ts'

export interface Unshuffled {
  readonly model: Model
  /** Puts the original nodes in the place of the Gathers that nothing has changed. */
  restore(model: Model): Model
}

/**
 * The model with a Gather in the place of each Reshape, Transpose and Reshape that split an axis in two, swap these and join
 * them again: along a Gather every channel can be followed.
 */
export function shufflesAsGathers(model: Model): Unshuffled {
  const index = graphIndex(model.graph)
  const types = inferShapes(model)
  const originals = new Map<string, readonly Node[]>()
  const draft = createDraft(model)
  for (const [position, node] of model.graph.nodes.entries()) {
    const found = shuffleEndingAt(node, model, index, types)
    if (!found) continue
    const { nodes, axis, parts } = found
    const [first, second] = parts
    const order = Array.from({ length: first * second }, (_, i) => (i % first) * second + Math.floor(i / first))
    const indices = draft.constant(`${node.outputs[0]}.order`, int64(order))
    draft.nodes[position] = {
      ...node,
      op: 'Gather',
      inputs: [nodes[0].inputs[0], indices],
      attributes: { axis: { kind: 'int', value: axis } },
    }
    originals.set(indices, nodes)
  }
  if (originals.size === 0) return { model, restore: (same) => same }
  return { model: draft.finish(), restore: (changed) => restored(changed, originals, model) }
}

function restored(model: Model, originals: ReadonlyMap<string, readonly Node[]>, before: Model): Model {
  const draft = createDraft(model)
  for (const [position, node] of model.graph.nodes.entries()) {
    const nodes = node.op === 'Gather' ? originals.get(node.inputs[1]) : undefined
    if (!nodes) continue
    const [first, second, last] = nodes
    draft.nodes.push({ ...first, inputs: [node.inputs[0], first.inputs[1]] }, second)
    for (const [, target] of [first.inputs, last.inputs])
      draft.initializers.set(target, before.graph.initializers.get(target)!)
    draft.nodes[position] = last
  }
  return draft.finish()
}

interface Shuffle {
  readonly nodes: readonly [Node, Node, Node]
  readonly axis: number
  /** The sizes that the axis is split into. */
  readonly parts: readonly [number, number]
}

function shuffleEndingAt(last: Node, { graph }: Model, index: GraphIndex, types: TypeTable): Shuffle | undefined {
  const fixed = (node: Node) => graph.initializers.has(node.inputs[1])
  const only = (value: string, op: string) => {
    const node = index.producer(value)
    const single = node && index.consumers(value).length === 1 && !index.isOutput(value)
    return single && node.op === op && node.domain === '' ? node : undefined
  }
  if (last.op !== 'Reshape' || last.domain !== '' || !fixed(last)) return undefined
  const swap = only(last.inputs[0], 'Transpose')
  const first = swap && only(swap.inputs[0], 'Reshape')
  const from = first && types.get(first.inputs[0])?.shape
  const split = first && types.get(first.outputs[0])?.shape
  const to = types.get(last.outputs[0])?.shape
  if (!from || !split || !to || !fixed(first) || split.length !== from.length + 1 || String(to) !== String(from))
    return undefined
  const axis = from.findIndex((size, i) => size !== split[i])
  if (axis < 0 || String(from.slice(axis + 1)) !== String(split.slice(axis + 2))) return undefined
  const [a, b] = [split[axis], split[axis + 1]]
  if (typeof a !== 'number' || typeof b !== 'number' || a * b !== from[axis]) return undefined
  const order = intsAttribute(swap, 'perm')
  const swapped = split.map((_, i) => (i === axis ? axis + 1 : i === axis + 1 ? axis : i))
  return String(order) === String(swapped) ? { nodes: [first, swap, last], axis, parts: [a, b] } : undefined
}
