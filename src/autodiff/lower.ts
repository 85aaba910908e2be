/**
 * Puts operators that engines know in the place of those of the 'espalier' domain: for the gradients of convolution,
 * pooling and their kin the fastest formulation for the shapes at hand, for functions with a gradient of their own
 * their body. Which formulation that is stands in the rules of `lower/`; the differentiation knows nothing of it.
 */
import { UnsupportedError } from '../errors.ts'
import { createDraft } from '../ir/draft.ts'
import { mapSubgraphs, outerValues } from '../ir/graph.ts'
import { renameCaptured } from '../ir/inline.ts'
import {
  ESPALIER_DOMAIN,
  operatorKey,
  subgraphs,
  type Graph,
  type Model,
  type Node,
  type TensorType,
} from '../ir/model.ts'
import { operators } from '../ir/ops/index.ts'
import { inferShapes } from '../ir/shapes.ts'
import { createEmitter, type Emitter } from './emitter.ts'
import { blockLayout } from './lower/blocked.ts'
import { lowerContext, type Formulation, type LowerContext, type Target } from './lower/formulation.ts'
import { foldIntoGemm } from './lower/gemm.ts'
import { dropIdentities } from './lower/identities.ts'
import { formulations } from './lower/rules.ts'

export type { Target } from './lower/formulation.ts'

/** Whether the model has operators that only `lower` can make runnable. */
export function needsLowering(model: Model): boolean {
  return anyNode(model.graph, isOurs)
}

function anyNode(graph: Graph, test: (node: Node) => boolean): boolean {
  return graph.nodes.some((node) => test(node) || subgraphs(node).some((inner) => anyNode(inner, test)))
}

function isOurs(node: Node): boolean {
  return node.domain === ESPALIER_DOMAIN
}

/**
 * The same model without operators of the 'espalier' domain.
 * @throws UnsupportedError when one has neither a formulation for the target nor a body, or a shape that it needs is
 * dynamic.
 */
export function lower(model: Model, target: Target = { backend: 'cpu', threads: 1 }): Model {
  const lowered = needsLowering(model) ? formulateAll(model, target) : model
  const lean = dropIdentities(lowered)
  const types = inferShapes(lean)
  return foldIntoGemm(lean, (value) => types.get(value)?.shape)
}

function formulateAll(model: Model, target: Target): Model {
  if (target.block === undefined) return rewrite(model, target, isOurs)
  const blocked = blockLayout(model, target)
  return rewrite(blocked.model, target, isOurs, { type: blocked.type })
}

function hasBody(node: Node): boolean {
  return isOurs(node) && operators.get(operatorKey(node))?.body !== undefined
}

/** Puts the standard nodes of their bodies in the place of custom-gradient functions: what an exported model needs. */
export function inlineCustomFunctions(model: Model): Model {
  if (!anyNode(model.graph, hasBody)) return model
  return rewrite(model, { backend: 'cpu', threads: 1 }, hasBody)
}

type Choice = (node: Node) => boolean

interface RewriteOptions {
  /** The names of the graph around, where the model stands for a sub-graph. */
  readonly outerNames?: (hint: string) => string
  /** Types that inference cannot tell. */
  readonly type?: (value: string) => TensorType | undefined
}

function rewrite(model: Model, target: Target, chosen: Choice, { outerNames, type }: RewriteOptions = {}): Model {
  const types = inferShapes(model)
  const draft = createDraft(model)
  const nodes = [...draft.nodes]
  draft.nodes.length = 0
  // Behind an operator without a record inference tells at most an element type.
  const known = (value: string) => (types.get(value)?.shape ? types.get(value) : (type?.(value) ?? types.get(value)))
  const emitter = createEmitter(draft, known, { outerNames })
  const replaced = new Map<string, string>()
  const read = (name: string) => replaced.get(name) ?? name

  for (const node of nodes) {
    const inputs = node.inputs.map(read)
    if (chosen(node)) {
      emitter.within(node.name || node.outputs[0])
      const results = formulate(
        lowerContext(
          emitter,
          target,
          node,
          inputs.map((name) => name || undefined),
        ),
      )
      node.outputs.forEach((output, i) => output !== '' && replaced.set(output, results[i]))
    } else {
      const inner = mapSubgraphs({ ...node, inputs }, (graph) => {
        const renamed = renameCaptured(graph, replaced)
        return anyNode(graph, chosen) ? rewriteInner(model, renamed, target, chosen, emitter) : renamed
      })
      draft.nodes.push(inner)
      emitter.produced(inner)
    }
  }
  for (const { name } of draft.outputs)
    if (replaced.has(name)) draft.nodes.push(identity(read(name), name, draft.fresh(`${name}/output`)))
  draft.opsets.delete(ESPALIER_DOMAIN)
  if (draft.nodes.some(({ domain }) => domain === 'com.microsoft')) draft.opsets.set('com.microsoft', 1)
  return draft.finish()
}

function identity(from: string, to: string, name: string): Node {
  return { name, op: 'Identity', domain: '', inputs: [from], outputs: [to], attributes: {} }
}

function formulate(context: LowerContext): readonly string[] {
  const record = operators.get(operatorKey(context.node))
  const chosen = chooseFormulation(context)
  if (chosen) return chosen.write(context)
  if (record?.body) return record.body(context)
  throw new UnsupportedError('no-formulation', `${operatorKey(context.node)} has no form that engines know`, {
    place: context.node.name,
  })
}

/** The formulation that `lower` takes for a node: the first that applies and is preferred, else the first that applies. */
function chooseFormulation(context: LowerContext): Formulation | undefined {
  const applicable = (formulations.get(operatorKey(context.node)) ?? []).filter((entry) => entry.applies(context))
  return applicable.find((entry) => entry.prefers?.(context) ?? true) ?? applicable[0]
}

/** A sub-graph becomes a model of its own for the time of the rewriting; what it captures are inputs with a type. */
function rewriteInner(outer: Model, graph: Graph, target: Target, chosen: Choice, emitter: Emitter): Graph {
  const captured = [...outerValues(graph)].map((name) => ({ name, type: emitter.type(name) }))
  const model: Model = { ...outer, functions: [], graph: { ...graph, inputs: [...graph.inputs, ...captured] } }
  return { ...rewrite(model, target, chosen, { outerNames: emitter.fresh }).graph, inputs: graph.inputs }
}
