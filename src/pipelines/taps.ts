/** Inner values of models as outputs, for looking at what layers put out. */
import { createDraft } from '../ir/draft.ts'
import type { Model } from '../ir/model.ts'
import { layers, type Layer } from '../ir/rewrite.ts'

/** The layers of the original of which the model makes the output too, under the same name. */
export function comparableLayers(original: Model, model: Model): Layer[] {
  const made = new Set(model.graph.nodes.flatMap(({ outputs }) => outputs))
  return layers(original).filter(({ node }) => made.has(node.outputs[0]))
}

/** The model with these values as further outputs. */
export function withTaps(model: Model, values: readonly string[]): Model {
  const draft = createDraft(model)
  for (const value of values) if (!draft.outputs.some(({ name }) => name === value)) draft.output(value)
  return draft.finish()
}
