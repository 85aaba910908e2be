import { graphIndex } from '../../ir/graph.ts'
import { createDraft } from '../../ir/draft.ts'
import type { Model, Node } from '../../ir/model.ts'
import { layers } from '../../ir/rewrite.ts'
import { fromFloat32, toFloat32 } from '../../tensor/half.ts'

/** Operators through which a value reaches a layer unchanged but for its form. */
const passing: ReadonlySet<string> = new Set([
  'Relu',
  'Flatten',
  'Reshape',
  'Identity',
  'Transpose',
  'Squeeze',
  'Unsqueeze',
])

/**
 * Section 3.2 of Han et al. 2015: a pruned layer has less capacity to overfit, so the Dropout in front of it drops less,
 * D_r = D_o · √(C_ir / C_io), with the connections of the layer after pruning over those before. Only for retraining: the
 * graph that comes out of it keeps its ratios.
 * @param masks by weight: 1 where a connection stays.
 */
export function withScaledDropout(model: Model, masks: ReadonlyMap<string, Float32Array>): Model {
  if (!model.graph.nodes.some(isDropout)) return model
  const index = graphIndex(model.graph)
  const layerOf = new Map(layers(model).map((layer) => [layer.node, layer]))
  const draft = createDraft(model)
  for (const [position, node] of draft.nodes.entries()) {
    if (!isDropout(node)) continue
    const ratio = node.inputs[1] ? model.graph.initializers.get(node.inputs[1]) : undefined
    const mask = masks.get(layerOf.get(nextLayer(node.outputs[0], index, layerOf) as Node)?.weight ?? '')
    if (!mask) continue
    const kept = mask.reduce((sum, value) => sum + value, 0) / mask.length
    // Without the input the operator's default holds.
    const before = ratio ? toFloat32(ratio)[0] : 0.5
    const scaled = fromFloat32(ratio?.dtype ?? 'float32', [], Float32Array.of(before * Math.sqrt(kept)))
    const [data, , ...rest] = node.inputs
    draft.nodes[position] = { ...node, inputs: [data, draft.constant(`${node.outputs[0]}.ratio`, scaled), ...rest] }
  }
  return draft.finish()
}

function isDropout(node: Node): boolean {
  return node.op === 'Dropout' && node.domain === ''
}

function nextLayer(
  value: string,
  index: ReturnType<typeof graphIndex>,
  layerOf: ReadonlyMap<Node, unknown>,
): Node | undefined {
  for (const reader of index.consumers(value)) {
    if (layerOf.has(reader)) return reader
    if (!passing.has(reader.op)) continue
    const found = nextLayer(reader.outputs[0], index, layerOf)
    if (found) return found
  }
  return undefined
}
