import { ModelError } from '../errors.ts'
import { createDraft } from '../ir/draft.ts'
import { outerValues } from '../ir/graph.ts'
import { renameNodes } from '../ir/inline.ts'
import { CANONICAL_OPSET, subgraphs, type Graph, type Model, type Node } from '../ir/model.ts'
import { inferShapes } from '../ir/shapes.ts'
import { createEmitter, type Emitter } from './emitter.ts'
import { reverse, zerosLike } from './gradient.ts'

/**
 * The gradient of an If is an If of the branches' gradients: it asks the same condition; each branch recomputes its
 * forward values, differentiates them, and yields the gradient of every captured value that is asked for, zeros where
 * it does not read it.
 * @returns pairs of captured value and gradient.
 */
export function branchGradients(
  node: Node,
  outputGradients: readonly (string | undefined)[],
  active: ReadonlySet<string>,
  emitter: Emitter,
): [string, string][] {
  const captured = [...new Set(subgraphs(node).flatMap((graph) => [...outerValues(graph)]))].filter((value) =>
    active.has(value),
  )
  if (captured.length === 0) return []
  const branch = (name: string): Graph => {
    const attribute = node.attributes[name]
    if (attribute?.kind !== 'graph') throw new ModelError('if-branch', `an If without ${name}`, { place: node.name })
    return differentiateBranch(attribute.value, outputGradients, captured, emitter)
  }
  const results = emitter.emitMany('If', [node.inputs[0]], captured.length, {
    then_branch: branch('then_branch'),
    else_branch: branch('else_branch'),
  })
  return captured.map((value, i) => {
    emitter.declare(results[i], emitter.type(value)!)
    return [value, results[i]]
  })
}

function differentiateBranch(
  branch: Graph,
  outputGradients: readonly (string | undefined)[],
  captured: readonly string[],
  outer: Emitter,
): Graph {
  const renamed = new Map<string, string>()
  const initializers = [...branch.initializers].map(([name, tensor]) => {
    renamed.set(name, outer.fresh(name))
    return [renamed.get(name)!, tensor] as const
  })
  const nodes = renameNodes(branch.nodes, renamed, undefined, outer.fresh)
  const graph: Graph = {
    name: branch.name,
    nodes,
    inputs: [],
    outputs: branch.outputs.map((info) => ({ ...info, name: renamed.get(info.name) ?? info.name })),
    initializers: new Map(initializers),
    values: [],
  }
  // As a model of its own, in which what the branch captures is an input, it can be inferred and extended.
  const given = outputGradients.filter((gradient) => gradient !== undefined)
  const reads = new Set([...outerValues(graph), ...captured, ...given])
  const inputs = [...reads].map((name) => ({ name, type: outer.type(name) }))
  const model: Model = {
    irVersion: 10,
    opsets: new Map([['', CANONICAL_OPSET]]),
    graph: { ...graph, inputs, outputs: [] },
    functions: [],
    metadata: new Map(),
  }
  const types = inferShapes(model)
  const draft = createDraft(model)
  const emitter = createEmitter(draft, (value) => types.get(value) ?? outer.type(value), {
    variables: new Set(captured),
    outerNames: outer.fresh,
  })
  const seeds = new Map<string, string>()
  graph.outputs.forEach(({ name }, i) => {
    const gradient = outputGradients[i]
    if (gradient !== undefined)
      seeds.set(name, seeds.has(name) ? emitter.emit('Add', [seeds.get(name)!, gradient]) : gradient)
  })
  const found = reverse(nodes, seeds, captured, emitter)
  for (const value of captured) {
    const result = emitter.emit('Identity', [found.get(value) ?? zerosLike(emitter, value)])
    draft.output(result, outer.dtype(value), outer.shape(value))
  }
  return { ...draft.finish().graph, inputs: [] }
}
