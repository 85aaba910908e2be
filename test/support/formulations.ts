import { createEmitter } from '../../src/autodiff/emitter.ts'
import { lowerContext, type Formulation, type Target } from '../../src/autodiff/lower/formulation.ts'
import { createDraft } from '../../src/ir/draft.ts'
import type { Model } from '../../src/ir/model.ts'
import type { Operator, Sample } from '../../src/ir/operator.ts'
import { inferShapes } from '../../src/ir/shapes.ts'
import { sampleModel } from './operator-sample.ts'

/** The sample's node, written by the given formulation; undefined where that does not apply. */
export function formulatedModel(
  record: Operator,
  sample: Sample,
  formulation: Formulation,
  target: Target,
): Model | undefined {
  const model = sampleModel(record, sample, () => true)
  const types = inferShapes(model)
  const draft = createDraft(model)
  const [node] = draft.nodes
  draft.nodes.length = 0
  draft.outputs.length = 0
  draft.opsets.delete('espalier')
  draft.opsets.set('com.microsoft', 1)
  const emitter = createEmitter(draft, (value) => types.get(value))
  const inputs = node.inputs.map((name) => name || undefined)
  const context = lowerContext(emitter, target, node, inputs)
  if (!formulation.applies(context)) return undefined
  const results = formulation.write(context)
  node.outputs.forEach((name, i) => {
    draft.nodes.push({ name, op: 'Identity', domain: '', inputs: [results[i]], outputs: [name], attributes: {} })
    draft.output(name, emitter.dtype(results[i]), emitter.shape(results[i]))
  })
  return draft.finish({ keepUnused: true })
}
