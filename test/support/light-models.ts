import { cutForm } from '../../src/ir/cut-form.ts'
import { cutRoots } from '../../src/ir/cut.ts'
import { mapChannels } from '../../src/ir/channels.ts'
import { createDraft } from '../../src/ir/draft.ts'
import type { Model } from '../../src/ir/model.ts'
import { operators } from '../../src/ir/ops/index.ts'
import { createRandom } from '../../src/tensor/random.ts'
import { elementCount, float32 } from '../../src/tensor/tensor.ts'

/**
 * The model with about `share` of its channels, at least two of each axis that had them: the same topology, small enough
 * for a test.
 */
export function thinned(model: Model, share: number, seed: number): Model {
  const form = cutForm(model)
  const map = mapChannels(form.model)
  const random = createRandom(seed)
  const roots = new Set<number>()
  for (let slot = 0; slot < map.slots.count; slot++)
    if (map.slots.find(slot) === slot && map.slots.reason(slot) === undefined && random.uniform() >= share)
      roots.add(slot)
  for (const { first, size } of map.slots.axes) {
    const left = new Set<number>()
    for (let slot = first; slot < first + size && left.size < 2; slot++) {
      const root = map.slots.find(slot)
      if (!roots.has(root)) left.add(root)
    }
    for (let slot = first; slot < first + size && left.size < 2; slot++) {
      left.add(map.slots.find(slot))
      roots.delete(map.slots.find(slot))
    }
  }
  return form.restore(cutRoots(map, roots))
}

/** The model that gives what its last Softmax reads: probabilities near 0 and 1 hide what goes into them. */
export function beforeSoftmax(model: Model): Model {
  const outputs = model.graph.outputs.map((info) => {
    const last = model.graph.nodes.find((node) => node.outputs[0] === info.name)
    return last?.op === 'Softmax' ? { name: last.inputs[0] } : info
  })
  return createDraft({ ...model, graph: { ...model.graph, outputs } }).finish()
}

/**
 * A `light` model of the ONNX backend tests with weights: these models make each of their tensors by a ConstantOfShape,
 * one value everywhere. Matrices and kernels become normally distributed with the variance 2 / fan-in, vectors lie between
 * 0.5 and 1.5.
 */
export function withWeights(model: Model, seed: number): Model {
  const random = createRandom(seed)
  const draft = createDraft(model)
  for (const node of model.graph.nodes) {
    const shape = model.graph.initializers.get(node.inputs[0])
    if (node.op !== 'ConstantOfShape' || !shape) continue
    const [tensor] = operators.get('ConstantOfShape')!.evaluate!({ node, inputs: [shape] })
    if (tensor.dtype !== 'float32') continue
    const deviation = Math.sqrt(2 / elementCount(tensor.shape.slice(1)))
    const draw = () => (tensor.shape.length > 1 ? random.normal() * deviation : 0.5 + random.uniform())
    const values = Float32Array.from({ length: elementCount(tensor.shape) }, draw)
    draft.nodes.splice(draft.nodes.indexOf(node), 1)
    draft.initializers.set(node.outputs[0], float32(values, tensor.shape))
  }
  return draft.finish()
}
