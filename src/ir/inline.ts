import { ModelError } from '../errors.ts'
import { mapSubgraphs, outerValues } from './graph.ts'
import {
  operatorKey,
  subgraphs,
  type Attribute,
  type Graph,
  type LocalFunction,
  type Model,
  type Node,
} from './model.ts'

/**
 * Puts the bodies of local functions in the place of the nodes that call them, in sub-graphs too, nested calls included.
 * @param keep says of a calling node that it shall stay a call; default: none stays.
 * @throws ModelError when a function calls itself or gets more inputs than it has.
 */
export function inlineFunctions(model: Model, keep: (node: Node) => boolean = () => false): Model {
  if (model.functions.length === 0) return model
  const functions = new Map(
    model.functions.map((entry) => [operatorKey({ op: entry.name, domain: entry.domain }), entry]),
  )
  const names = createNames(model.graph)
  const kept = new Set<string>()

  const expand = (nodes: readonly Node[], stack: readonly string[]): Node[] =>
    nodes.flatMap((node) => {
      const key = operatorKey(node)
      const called = functions.get(key)
      if (!called) return [mapSubgraphs(node, (graph) => ({ ...graph, nodes: expand(graph.nodes, stack) }))]
      if (keep(node)) {
        kept.add(key)
        return [node]
      }
      if (stack.includes(key))
        throw new ModelError('recursive-function', `the function ${key} calls itself`, { place: node.name })
      return expand(instantiate(called, node, names), [...stack, key])
    })

  const nodes = expand(model.graph.nodes, [])
  const functionsLeft = model.functions.filter((entry) =>
    kept.has(operatorKey({ op: entry.name, domain: entry.domain })),
  )
  const opsets = new Map(model.opsets)
  for (const { opsets: imported } of model.functions)
    for (const [domain, version] of imported) if (!opsets.has(domain)) opsets.set(domain, version)
  return { ...model, opsets, functions: functionsLeft, graph: { ...model.graph, nodes } }
}

/** The body of `called` as nodes in the caller's scope: inputs, outputs and attribute references bound, the rest fresh. */
function instantiate(called: LocalFunction, node: Node, fresh: (hint: string) => string): Node[] {
  if (node.inputs.length > called.inputs.length)
    throw new ModelError('function-inputs', `${called.name} takes ${called.inputs.length} inputs at most`, {
      place: node.name,
    })
  const renamed = new Map<string, string>()
  called.inputs.forEach((input, i) => renamed.set(input, node.inputs[i] ?? ''))
  const passedThrough: Node[] = []
  called.outputs.forEach((output, i) => {
    const target = node.outputs[i] || fresh(`${node.name}/${output}`)
    if (renamed.has(output))
      passedThrough.push({
        name: fresh(`${node.name}/${output}`),
        op: 'Identity',
        domain: '',
        inputs: [renamed.get(output)!],
        outputs: [target],
        attributes: {},
      })
    else renamed.set(output, target)
  })
  const attributes = { ...called.attributeDefaults, ...node.attributes }
  return [...renameNodes(called.nodes, renamed, attributes, (hint) => fresh(`${node.name}/${hint}`)), ...passedThrough]
}

/**
 * Copies nodes under fresh names. Values in `renamed` take the name given there; values that the nodes make get a fresh
 * one, which is added to `renamed`; others belong to an outer scope and stay.
 * @param attributes what attribute references stand for; a reference to an attribute that is not given is dropped.
 */
export function renameNodes(
  nodes: readonly Node[],
  renamed: Map<string, string>,
  attributes: Readonly<Record<string, Attribute>> | undefined,
  fresh: (hint: string) => string,
): Node[] {
  const read = (name: string) => renamed.get(name) ?? name
  const define = (name: string) => {
    if (name === '') return ''
    if (!renamed.has(name)) renamed.set(name, fresh(name))
    return renamed.get(name)!
  }
  return nodes.map((node) => {
    const inputs = node.inputs.map(read)
    while (inputs.length > 0 && inputs.at(-1) === '') inputs.pop()
    const entries = Object.entries(node.attributes).flatMap(([name, attribute]): [string, Attribute][] => {
      if (attribute.kind !== 'reference' || !attributes) return [[name, attribute]]
      const bound = attributes[attribute.value]
      return bound ? [[name, bound]] : []
    })
    const bound = { ...node, name: fresh(node.name || node.op), inputs, attributes: Object.fromEntries(entries) }
    const inner = mapSubgraphs(bound, (graph) => {
      const scope = new Map(renamed)
      const inputs = graph.inputs.map((info) => ({ ...info, name: rename(scope, info.name, fresh) }))
      const initializers = new Map(
        [...graph.initializers].map(([name, tensor]) => [rename(scope, name, fresh), tensor]),
      )
      const body = renameNodes(graph.nodes, scope, attributes, fresh)
      const outputs = graph.outputs.map((info) => ({ ...info, name: scope.get(info.name) ?? info.name }))
      const values = graph.values.flatMap((info) =>
        scope.has(info.name) ? [{ ...info, name: scope.get(info.name)! }] : [],
      )
      return { ...graph, inputs, initializers, nodes: body, outputs, values }
    })
    return { ...inner, outputs: node.outputs.map(define) }
  })
}

function rename(scope: Map<string, string>, name: string, fresh: (hint: string) => string): string {
  const result = fresh(name)
  scope.set(name, result)
  return result
}

/** The names that a node reads, each as often as it does, those that its sub-graphs take from outside included. */
export function readsOf(node: Node): readonly string[] {
  const inner = subgraphs(node)
  return inner.length === 0 ? node.inputs : [...node.inputs, ...inner.flatMap((graph) => [...outerValues(graph)])]
}

/** A sub-graph that reads other values of the outer scope in the place of those in `renamed`. */
export function renameCaptured(graph: Graph, renamed: ReadonlyMap<string, string>): Graph {
  if (renamed.size === 0) return graph
  const read = (name: string) => renamed.get(name) ?? name
  return {
    ...graph,
    nodes: graph.nodes.map((node) => ({
      ...mapSubgraphs(node, (inner) => renameCaptured(inner, renamed)),
      inputs: node.inputs.map(read),
    })),
    outputs: graph.outputs.map((info) => ({ ...info, name: read(info.name) })),
  }
}

/** A source of names that neither the graph nor its sub-graphs use. */
export function createNames(graph: Graph): (hint: string) => string {
  const used = new Set<string>()
  const visit = (graph: Graph) => {
    for (const { name } of graph.inputs) used.add(name)
    for (const name of graph.initializers.keys()) used.add(name)
    for (const node of graph.nodes) {
      used.add(node.name)
      for (const name of node.outputs) used.add(name)
      for (const inner of subgraphs(node)) visit(inner)
    }
  }
  visit(graph)
  const next = new Map<string, number>()
  return (hint) => {
    let name = hint
    for (let i = next.get(hint) ?? 1; used.has(name); i++) {
      name = `${hint}_${i}`
      next.set(hint, i + 1)
    }
    used.add(name)
    return name
  }
}
