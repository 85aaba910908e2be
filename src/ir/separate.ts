/** Vectors that several nodes share by chance, because an exporter writes equal constants once, made one for each node. */
import { identical } from '../tensor/tensor.ts'
import { createDraft } from './draft.ts'
import { graphIndex } from './graph.ts'
import type { Model } from './model.ts'

/** What names a copy of an initializer, and whose it is. */
const mark = '#of:'

/**
 * The model in which every initializer of one axis has one reader: equal biases or statistics of two layers do not make
 * their channels one. Weights stay shared. `joinVectors` takes it back.
 */
export function separateVectors(model: Model): Model {
  const index = graphIndex(model.graph)
  const positions = new Map(model.graph.nodes.map((node, position) => [node, position]))
  const draft = createDraft(model)
  const fed = new Set(model.graph.inputs.map(({ name }) => name))
  for (const [name, tensor] of model.graph.initializers) {
    if (tensor.shape.length !== 1 || tensor.shape[0] < 2 || fed.has(name) || index.isOutput(name)) continue
    const readers = index.consumers(name)
    if (readers.length < 2 || readers.some((node) => !node.inputs.includes(name))) continue
    for (const reader of readers.slice(1)) {
      const copy = draft.constant(`${name}${mark}`, tensor)
      const position = positions.get(reader)!
      const node = draft.nodes[position]
      draft.nodes[position] = { ...node, inputs: node.inputs.map((input) => (input === name ? copy : input)) }
    }
  }
  return draft.initializers.size === model.graph.initializers.size ? model : draft.finish({ keepUnused: true })
}

/** Makes copies that are still like the vector that they are copies of one with it again. */
export function joinVectors(model: Model): Model {
  const draft = createDraft(model)
  let joined = false
  for (const [name, tensor] of model.graph.initializers) {
    const at = name.indexOf(mark)
    const original = at < 0 ? undefined : model.graph.initializers.get(name.slice(0, at))
    if (!original || !identical(original, tensor)) continue
    draft.redirect(name, name.slice(0, at))
    draft.initializers.delete(name)
    joined = true
  }
  return joined ? draft.finish({ keepUnused: true }) : model
}
