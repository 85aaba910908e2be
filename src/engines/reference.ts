/**
 * The engine that defines what a graph means: it walks the nodes and calls the `evaluate` of their operator records.
 * Clear before fast; the contract tests compare onnxruntime with it, and it runs wherever JavaScript does.
 */
import { inlineCustomFunctions } from '../autodiff/lower.ts'
import { ModelError, nearestName, UnsupportedError, UsageError } from '../errors.ts'
import { inlineFunctions } from '../ir/inline.ts'
import { operatorKey, subgraphs, type Graph, type Model, type Node } from '../ir/model.ts'
import { operators } from '../ir/ops/index.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { runIf, runLoop, runScan, type RunGraph } from './control-flow.ts'
import type { Engine } from './engine.ts'

/** Operators whose sub-graphs the engine runs itself. */
const controlFlow: Readonly<
  Record<string, (node: Node, inputs: readonly (Tensor | undefined)[], run: RunGraph) => readonly Tensor[]>
> = { If: runIf, Loop: runLoop, Scan: runScan }

export const referenceEngine: Engine = {
  name: 'reference',
  async createSession(model) {
    const { graph } = withoutBodies(inlineFunctions(model))
    refuseUnknown(graph)
    const outputs = graph.outputs.map(({ name }) => name)
    const inputs = graph.inputs.map(({ name }) => name).filter((name) => !graph.initializers.has(name))
    return {
      inputs,
      outputs,
      async run(feeds, fetches = outputs) {
        for (const name of inputs)
          if (!feeds[name])
            throw new UsageError('missing-feed', `the model's input '${name}' is not fed`, { place: name })
        for (const name of Object.keys(feeds))
          if (!graph.inputs.some((info) => info.name === name)) throw unknownName('input', name, inputs)
        for (const name of fetches) if (!outputs.includes(name)) throw unknownName('output', name, outputs)
        const scope = runNodes(graph, new Scope(undefined, [...graph.initializers, ...Object.entries(feeds)]))
        return Object.fromEntries(fetches.map((name) => [name, scope.get(name)]))
      },
      async close() {},
    }
  },
}

/** The values of a graph, on top of those of the graphs around it. */
class Scope {
  private readonly outer: Scope | undefined
  private readonly values: Map<string, Tensor>

  constructor(outer: Scope | undefined, values: Iterable<readonly [string, Tensor]>) {
    this.outer = outer
    this.values = new Map(values)
  }

  /** @throws ModelError when no node has made the value. */
  get(name: string): Tensor {
    const value = this.values.get(name) ?? this.outer?.find(name)
    if (!value) throw new ModelError('missing-value', `nothing gives the value '${name}'`, { place: name })
    return value
  }

  set(name: string, value: Tensor): void {
    this.values.set(name, value)
  }

  private find(name: string): Tensor | undefined {
    return this.values.get(name) ?? this.outer?.find(name)
  }
}

function runNodes(graph: Graph, scope: Scope): Scope {
  for (const node of graph.nodes) {
    const inputs = node.inputs.map((name) => (name === '' ? undefined : scope.get(name)))
    const results = evaluate(node, inputs, scope)
    node.outputs.forEach((name, index) => {
      if (name === '') return
      if (!results[index])
        throw new UnsupportedError('no-evaluation', `${operatorKey(node)} '${node.name}' has no output ${index} here`, {
          place: node.name,
        })
      scope.set(name, results[index])
    })
  }
  return scope
}

function evaluate(node: Node, inputs: readonly (Tensor | undefined)[], scope: Scope): readonly Tensor[] {
  const flow = node.domain === '' ? controlFlow[node.op] : undefined
  if (!flow) return operators.get(operatorKey(node))!.evaluate!({ node, inputs })
  return flow(node, inputs, (graph, given) => {
    const bound = graph.inputs.map(({ name }, index) => [name, given[index]] as const)
    const inner = runNodes(graph, new Scope(scope, [...graph.initializers, ...bound]))
    return graph.outputs.map(({ name }) => inner.get(name))
  })
}

/** Puts its body in the place of a function of ours that has no evaluation of its own. */
function withoutBodies(model: Model): Model {
  const hasOnlyBody = (node: Node): boolean => {
    const record = operators.get(operatorKey(node))
    return (
      (record?.body !== undefined && !record.evaluate) || subgraphs(node).some(({ nodes }) => nodes.some(hasOnlyBody))
    )
  }
  return model.graph.nodes.some(hasOnlyBody) ? inlineCustomFunctions(model) : model
}

/** @throws UnsupportedError naming the first node that has no evaluation. */
function refuseUnknown(graph: Graph): void {
  for (const node of graph.nodes) {
    const key = operatorKey(node)
    if (!controlFlow[key] && !operators.get(key)?.evaluate)
      throw new UnsupportedError('no-evaluation', `node '${node.name}': ${key} cannot be evaluated here`, {
        place: node.name,
        hint: 'Run the model with onnxruntime.',
      })
    subgraphs(node).forEach(refuseUnknown)
  }
}

function unknownName(side: string, name: string, known: readonly string[]): UsageError {
  const nearest = nearestName(name, known)
  return new UsageError(`unknown-${side}`, `the model has no ${side} '${name}'`, {
    place: name,
    hint: nearest === undefined ? undefined : `Did you mean '${nearest}'?`,
  })
}
