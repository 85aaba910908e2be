/** Who makes a value and who reads it, and the order of nodes. */
import { ModelError } from '../errors.ts'
import { subgraphs, type Graph, type Node } from './model.ts'

export interface GraphIndex {
  /** The node of this graph that makes `value`; undefined for inputs, initializers and values of an outer graph. */
  producer(value: string): Node | undefined
  /** The nodes of this graph that read `value`, directly or in a sub-graph, each once, in order. */
  consumers(value: string): readonly Node[]
  /** Whether `value` is an output of the graph. */
  isOutput(value: string): boolean
}

/** An index of the top level of a graph; it does not follow later changes. */
export function graphIndex(graph: Pick<Graph, 'nodes' | 'outputs'>): GraphIndex {
  const producers = new Map<string, Node>()
  const consumers = new Map<string, Node[]>()
  const outputs = new Set(graph.outputs.map((output) => output.name))
  for (const node of graph.nodes) {
    for (const output of node.outputs) if (output !== '') producers.set(output, node)
    for (const value of valuesRead(node)) {
      const known = consumers.get(value)
      if (known) known.push(node)
      else consumers.set(value, [node])
    }
  }
  return {
    producer: (value) => producers.get(value),
    consumers: (value) => consumers.get(value) ?? [],
    isOutput: (value) => outputs.has(value),
  }
}

/** The values that a node reads from the graph around it: its inputs, and what its sub-graphs take from outside. */
export function valuesRead(node: Node): ReadonlySet<string> {
  const result = new Set<string>()
  for (const input of node.inputs) if (input !== '') result.add(input)
  for (const graph of subgraphs(node)) for (const value of outerValues(graph)) result.add(value)
  return result
}

/** The values that a sub-graph reads from outside. */
export function outerValues(graph: Graph): ReadonlySet<string> {
  const inner = new Set<string>(graph.initializers.keys())
  for (const input of graph.inputs) inner.add(input.name)
  for (const node of graph.nodes) for (const output of node.outputs) inner.add(output)
  const result = new Set<string>()
  const read = (value: string) => {
    if (value !== '' && !inner.has(value)) result.add(value)
  }
  for (const node of graph.nodes) for (const value of valuesRead(node)) read(value)
  for (const output of graph.outputs) read(output.name)
  return result
}

/** The values, and all that is computed from them; nodes are in topological order. */
export function reachedFrom(nodes: readonly Node[], values: Iterable<string>): Set<string> {
  const reached = new Set(values)
  for (const node of nodes)
    if ([...valuesRead(node)].some((value) => reached.has(value)))
      for (const output of node.outputs) reached.add(output)
  return reached
}

/** The values, and all that they are computed from; nodes are in topological order. */
export function neededFor(nodes: readonly Node[], values: Iterable<string>): Set<string> {
  const needed = new Set(values)
  for (const node of nodes.toReversed())
    if (node.outputs.some((output) => needed.has(output))) for (const value of valuesRead(node)) needed.add(value)
  return needed
}

/**
 * The nodes in an order in which every value is made before it is read; nodes that need not move keep their order.
 * @throws ModelError when there is a cycle, with the nodes on it.
 */
export function topologicalOrder(nodes: readonly Node[]): readonly Node[] {
  const producers = new Map<string, number>()
  nodes.forEach((node, i) => node.outputs.forEach((output) => output !== '' && producers.set(output, i)))
  const needs = nodes.map((node) => {
    const result = new Set<number>()
    for (const value of valuesRead(node)) {
      const producer = producers.get(value)
      if (producer !== undefined) result.add(producer)
    }
    return [...result]
  })
  if (needs.every((list, i) => list.every((producer) => producer < i))) return nodes
  const order: Node[] = []
  /** 0 not seen, 1 on the stack, 2 done. */
  const state = new Uint8Array(nodes.length)
  for (let root = 0; root < nodes.length; root++) {
    const stack = state[root] === 0 ? [{ index: root, next: 0 }] : []
    if (stack.length > 0) state[root] = 1
    while (stack.length > 0) {
      const top = stack[stack.length - 1]
      if (top.next === needs[top.index].length) {
        state[top.index] = 2
        order.push(nodes[top.index])
        stack.pop()
        continue
      }
      const producer = needs[top.index][top.next++]
      if (state[producer] === 1) {
        const from = stack.findIndex((entry) => entry.index === producer)
        throw cycleError(stack.slice(from).map((entry) => nodes[entry.index]))
      }
      if (state[producer] === 0) {
        state[producer] = 1
        stack.push({ index: producer, next: 0 })
      }
    }
  }
  return order
}

function cycleError(nodes: readonly Node[]): ModelError {
  const names = nodes.map(nodeLabel).toReversed()
  const shown = names.length > 8 ? [...names.slice(0, 8), `… (${names.length} nodes)`] : names
  return new ModelError('cycle', `the graph has a cycle: ${[...shown, names[0]].join(' → ')}`, {
    place: names[0],
    hint: 'Export the model again: a feed-forward graph needs nodes that do not read their own results.',
  })
}

/** What to call a node in messages: its name, otherwise its first output. */
export function nodeLabel(node: Node): string {
  return node.name || node.outputs.find((output) => output !== '') || node.op
}

/** The graph with its nodes, and those of its sub-graphs, in topological order. @throws ModelError on a cycle. */
export function sortGraph(graph: Graph): Graph {
  const nodes = topologicalOrder(mapUnchanged(graph.nodes, (node) => mapSubgraphs(node, sortGraph)))
  return nodes === graph.nodes ? graph : { ...graph, nodes }
}

/** The node with `change` applied to each of its sub-graphs; the same object when nothing changed. */
export function mapSubgraphs(node: Node, change: (graph: Graph) => Graph): Node {
  let changed = false
  const attributes = Object.entries(node.attributes).map(([name, attribute]) => {
    if (attribute.kind === 'graph') {
      const value = change(attribute.value)
      changed ||= value !== attribute.value
      return [name, { ...attribute, value }] as const
    }
    if (attribute.kind === 'graphs') {
      const value = mapUnchanged(attribute.value, change)
      changed ||= value !== attribute.value
      return [name, { ...attribute, value }] as const
    }
    return [name, attribute] as const
  })
  return changed ? { ...node, attributes: Object.fromEntries(attributes) } : node
}

/** Like `map`, but gives the same array back when no item changed. */
export function mapUnchanged<T>(items: readonly T[], change: (item: T) => T): readonly T[] {
  const result = items.map((item) => change(item))
  return result.every((item, i) => item === items[i]) ? items : result
}

/** Calls `visit` for each node of the graph and of its sub-graphs, outer ones first. */
export function visitNodes(graph: Graph, visit: (node: Node, graph: Graph) => void): void {
  for (const node of graph.nodes) {
    visit(node, graph)
    for (const inner of subgraphs(node)) visitNodes(inner, visit)
  }
}

/** All names of values in the graph and its sub-graphs: what a fresh name must differ from. */
export function valueNames(graph: Graph, names: Set<string> = new Set()): Set<string> {
  for (const info of [...graph.inputs, ...graph.outputs]) names.add(info.name)
  for (const name of graph.initializers.keys()) names.add(name)
  for (const node of graph.nodes) {
    for (const value of [...node.inputs, ...node.outputs]) names.add(value)
    for (const inner of subgraphs(node)) valueNames(inner, names)
  }
  return names
}
