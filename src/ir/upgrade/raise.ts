/** Raises a model's standard operators to the canonical opset, so that every rule elsewhere exists once. */
import type { Tensor } from '../../tensor/tensor.ts'
import { toAttribute } from '../draft.ts'
import { mapSubgraphs, valueNames } from '../graph.ts'
import { constantNode, createScope, type Scope } from '../infer.ts'
import { CANONICAL_OPSET, type Graph, type LocalFunction, type Model, type Node } from '../model.ts'
import { upgradeRules } from './rules.ts'
import type { UpgradeContext, UpgradeRule } from './rule.ts'

/** The IR version that the canonical opset came with. */
const CANONICAL_IR = 10

const rulesByOp = new Map<string, readonly UpgradeRule[]>()
for (const rule of upgradeRules) rulesByOp.set(rule.op, [...(rulesByOp.get(rule.op) ?? []), rule])

/**
 * The model in the canonical opset, or in its own when that is a later one. Operators of other domains, local functions by
 * the name of a standard operator and operators that no longer exist stay as they are. Where all initializers are listed as
 * inputs too, as IR versions before 4 demanded and exporters long kept doing, they are no inputs afterwards. Constant nodes
 * of the main graph become initializers.
 */
export function raiseOpset(model: Model): Model {
  const names = valueNames(model.graph)
  const from = model.opsets.get('')
  const shadowed = new Set(model.functions.filter((item) => item.domain === '').map((item) => item.name))
  const functions = model.functions.map((item) => raiseFunction(item, model.functions, shadowed))
  const graph = shadowed.has('Constant') ? withoutWeightInputs(model) : liftConstants(withoutWeightInputs(model))
  if (from === undefined || from >= CANONICAL_OPSET)
    return { ...model, functions, graph, irVersion: Math.max(model.irVersion, 4) }
  return {
    ...model,
    irVersion: Math.max(model.irVersion, CANONICAL_IR),
    opsets: new Map(model.opsets).set('', CANONICAL_OPSET),
    functions,
    graph: raiseGraph(graph, { from, names, shadowed }, createScope(model.functions)),
  }
}

function withoutWeightInputs({ graph, irVersion }: Model): Graph {
  const data = graph.inputs.filter((info) => !graph.initializers.has(info.name))
  const listed = graph.inputs.length - data.length
  if (listed === 0 || (irVersion >= 4 && listed < graph.initializers.size)) return graph
  return { ...graph, inputs: data }
}

function liftConstants(graph: Graph): Graph {
  const initializers = new Map(graph.initializers)
  const outputs = new Set(graph.outputs.map((info) => info.name))
  const nodes = graph.nodes.filter((node) => {
    const value = node.extras || node.doc || outputs.has(node.outputs[0]) ? undefined : constantNode(node)
    if (!value || node.attributes['value']?.extras || initializers.has(node.outputs[0])) return true
    initializers.set(node.outputs[0], value)
    return false
  })
  return nodes.length === graph.nodes.length ? graph : { ...graph, nodes, initializers }
}

interface Raiser {
  readonly from: number
  readonly names: Set<string>
  readonly shadowed: ReadonlySet<string>
}

function raiseGraph(graph: Graph, raiser: Raiser, scope: Scope): Graph {
  scope.addGraph({ ...graph, nodes: [] })
  const initializers = new Map(graph.initializers)
  const literal = (hint: string, tensor: Tensor): string => {
    const name = freshName(raiser.names, hint)
    initializers.set(name, tensor)
    scope.addConstant(name, tensor)
    return name
  }
  const nodes = raiseNodes(graph.nodes, raiser, scope, literal)
  return { ...graph, nodes, initializers }
}

function raiseFunction(
  item: LocalFunction,
  functions: readonly LocalFunction[],
  shadowed: ReadonlySet<string>,
): LocalFunction {
  const from = item.opsets.get('')
  if (from === undefined || from >= CANONICAL_OPSET) return item
  const names = new Set([...item.inputs, ...item.outputs, ...item.nodes.flatMap((node) => node.outputs)])
  const constants: Node[] = []
  const scope = createScope(functions)
  const literal = (hint: string, value: Tensor): string => {
    const name = freshName(names, hint)
    constants.push(constantOf(name, value))
    scope.addConstant(name, value)
    return name
  }
  const nodes = raiseNodes(item.nodes, { from, names, shadowed }, scope, literal)
  return { ...item, nodes: [...constants, ...nodes], opsets: new Map(item.opsets).set('', CANONICAL_OPSET) }
}

function constantOf(name: string, value: Tensor): Node {
  return {
    name,
    op: 'Constant',
    domain: '',
    inputs: [],
    outputs: [name],
    attributes: { value: { kind: 'tensor', value } },
  }
}

function freshName(names: Set<string>, hint: string): string {
  let name = hint
  for (let i = 1; names.has(name); i++) name = `${hint}_${i}`
  names.add(name)
  return name
}

function raiseNodes(
  nodes: readonly Node[],
  raiser: Raiser,
  scope: Scope,
  literal: UpgradeContext['literal'],
): readonly Node[] {
  const result: Node[] = []
  const context: UpgradeContext = {
    from: raiser.from,
    type: (value) => scope.get(value),
    constant: (value) => scope.constant(value),
    literal,
    emit(op, inputs, attributes = {}) {
      const name = freshName(raiser.names, `${inputs[0] || op}_${op}`)
      const entries = Object.entries(attributes).map(([key, value]) => [key, toAttribute(value)] as const)
      add({ name, op, domain: '', inputs, outputs: [name], attributes: Object.fromEntries(entries) })
      return name
    },
    add: (node) => add(node),
    fresh: (hint) => freshName(raiser.names, hint),
  }
  const add = (node: Node) => {
    result.push(node)
    scope.addNode(node)
  }
  for (const node of nodes) {
    const inner = mapSubgraphs(node, (graph) => raiseGraph(graph, raiser, scope.child()))
    add(inner.domain === '' && !raiser.shadowed.has(inner.op) ? raiseNode(inner, context) : inner)
  }
  return result
}

function raiseNode(node: Node, context: UpgradeContext): Node {
  let current = node
  for (let version = context.from; version < CANONICAL_OPSET;) {
    const next = rulesByOp
      .get(current.op)
      ?.filter((rule) => rule.since > version)
      .toSorted((a, b) => a.since - b.since)[0]
    if (!next) break
    current = next.upgrade(current, context)
    version = next.since
  }
  return current
}
