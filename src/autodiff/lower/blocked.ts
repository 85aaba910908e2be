/**
 * The layout pass: keeps activations in onnxruntime's blocked layout, channels in blocks of as many as a vector register
 * holds ([batch, channels / block, height, width, block]), from one convolution through normalization, Relu and Add to
 * the next, forwards and backwards. It matches semantic operators, before they are lowered; those that it leaves are
 * lowered as ever, and where they meet a blocked value, that is put back in order.
 *
 * The operators of the domain com.microsoft.nchwc are onnxruntime's own, undocumented, and depend on the processor: a
 * target has a `block` only after a probe. A normalization by given numbers is a depthwise convolution with kernels of
 * one element, which can add a bias, another activation and a Relu in one pass over memory.
 */
import { createDraft } from '../../ir/draft.ts'
import { mapSubgraphs, outerValues } from '../../ir/graph.ts'
import { readsOf, renameCaptured } from '../../ir/inline.ts'
import { operatorKey, type Model, type Node, type TensorType } from '../../ir/model.ts'
import { inferShapes } from '../../ir/shapes.ts'
import { createEmitter } from '../emitter.ts'
import { createBlocks, type Blocks } from './blocked-values.ts'
import { blockedRules } from './blocked-rules.ts'
import { lowerContext, type Target } from './formulation.ts'

export interface BlockedModel {
  readonly model: Model
  /** The types of its values, those of the blocked domain's operators included, for which there are no records. */
  type(value: string): TensorType | undefined
}

/** The same model, with blocked activations where that is known to help. */
export function blockLayout(model: Model, target: Target): BlockedModel {
  const types = inferShapes(model)
  const draft = createDraft(model)
  const nodes = [...draft.nodes]
  draft.nodes.length = 0
  const readers = new Map<string, number>()
  for (const name of [...nodes.flatMap(readsOf), ...draft.outputs.map((output) => output.name)])
    readers.set(name, (readers.get(name) ?? 0) + 1)
  const emitter = createEmitter(draft, (value) => types.get(value))
  const blocks = createBlocks(emitter, target.block!, (value) => readers.get(value) === 1)

  for (const node of nodes) {
    emitter.within(node.name || node.outputs[0])
    const inputs = node.inputs.map((name) => name || undefined)
    const rule = blockedRules.get(operatorKey(node))
    if (rule?.(lowerContext(emitter, target, node, inputs), blocks)) continue
    const plain = withPlainInputs(node, blocks)
    draft.nodes.push(plain)
    emitter.produced(plain)
  }
  for (const { name } of draft.outputs)
    if (blocks.moved(name))
      draft.nodes.push({
        name: draft.fresh(`${name}/output`),
        op: 'Identity',
        domain: '',
        inputs: [blocks.plain(name)],
        outputs: [name],
        attributes: {},
      })
  if (blocks.used()) {
    draft.opsets.set('com.microsoft', 1)
    draft.opsets.set('com.microsoft.nchwc', 1)
  }
  return { model: draft.finish(), type: emitter.type }
}

function withPlainInputs(node: Node, blocks: Blocks): Node {
  const inner = mapSubgraphs(node, (graph) =>
    renameCaptured(graph, new Map([...outerValues(graph)].map((name) => [name, blocks.plain(name)]))),
  )
  return { ...inner, inputs: node.inputs.map((name) => (name === '' ? '' : blocks.plain(name))) }
}
