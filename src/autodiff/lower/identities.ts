import { mapSubgraphs } from '../../ir/graph.ts'
import { renameCaptured } from '../../ir/inline.ts'
import { operatorKey, type Graph, type Model, type Node } from '../../ir/model.ts'

/**
 * Takes out Identity nodes, each of which copies its tensor when no engine pass removes it. A graph output that an
 * Identity made is made by the node in front of it instead; inputs and initializers that are outputs at the same time
 * keep theirs, and so does a value that is an output under two names.
 */
export function dropIdentities(model: Model): Model {
  return { ...model, graph: withoutIdentities(model.graph) }
}

function withoutIdentities(graph: Graph): Graph {
  const outputs = new Set(graph.outputs.map(({ name }) => name))
  const produced = new Set(graph.nodes.flatMap((node) => node.outputs))
  /** From a value to the one that is read in its place. */
  const source = new Map<string, string>()
  /** From a value to the graph output whose name it takes. */
  const renamed = new Map<string, string>()
  const nodes: Node[] = []
  for (const node of graph.nodes) {
    if (operatorKey(node) !== 'Identity') {
      nodes.push(node)
      continue
    }
    const [from, to] = [source.get(node.inputs[0]) ?? node.inputs[0], node.outputs[0]]
    if (outputs.has(to)) {
      if (!produced.has(from) || outputs.has(from) || renamed.has(from)) nodes.push(node)
      else renamed.set(from, to)
    } else if (produced.has(from) || graph.initializers.has(from) || graph.inputs.some(({ name }) => name === from))
      source.set(to, from)
    else nodes.push(node)
  }
  if (nodes.length === graph.nodes.length) return graph
  const read = (name: string) => {
    const from = source.get(name) ?? name
    return renamed.get(from) ?? from
  }
  const names = new Map([...source.keys(), ...renamed.keys()].map((name) => [name, read(name)]))
  return {
    ...graph,
    nodes: nodes.map((node) => ({
      ...mapSubgraphs(node, (inner) => renameCaptured(inner, names)),
      inputs: node.inputs.map(read),
      outputs: node.outputs.map((name) => renamed.get(name) ?? name),
    })),
  }
}
