import { createNames, readsOf, renameNodes } from '../ir/inline.ts'
import { operatorKey, tensorAttribute, type Graph, type Model, type Node } from '../ir/model.ts'
import { int64, scalar, type Tensor } from '../tensor/tensor.ts'

/** More nodes than this are not unrolled: sessions over such graphs take seconds to create. */
const nodeLimit = 20_000

/**
 * Replaces the loops that depend on one of `values` by as many copies of their body as they run, where the trip count is
 * a constant and the condition constantly true; other loops stay as they are.
 */
export function unrollLoops(model: Model, values: readonly string[]): Model {
  if (!model.graph.nodes.some((node) => operatorKey(node) === 'Loop')) return model
  const fresh = createNames(model.graph)
  const initializers = new Map(model.graph.initializers)
  const constants = new Map<string, Tensor>(initializers)
  const active = new Set(values)
  const nodes: Node[] = []
  for (const node of model.graph.nodes) {
    const constant = node.op === 'Constant' ? tensorAttribute(node, 'value') : undefined
    if (constant) constants.set(node.outputs[0], constant)
    if (readsOf(node).some((value) => active.has(value))) {
      for (const output of node.outputs) active.add(output)
      const unrolled = operatorKey(node) === 'Loop' ? unroll(node, constants, initializers, fresh) : undefined
      nodes.push(...(unrolled ?? [node]))
    } else nodes.push(node)
  }
  return { ...model, graph: { ...model.graph, nodes, initializers } }
}

function unroll(
  node: Node,
  constants: ReadonlyMap<string, Tensor>,
  initializers: Map<string, Tensor>,
  fresh: (hint: string) => string,
): Node[] | undefined {
  const body = node.attributes['body']
  const [count, condition, ...initial] = node.inputs
  const trips = Number(constants.get(count)?.data[0] ?? Number.NaN)
  if (body?.kind !== 'graph' || !Number.isFinite(trips) || trips < 1) return undefined
  const graph = body.value
  if (condition && Number(constants.get(condition)?.data[0] ?? 0) !== 1) return undefined
  if (!staysTrue(graph) || trips * graph.nodes.length > nodeLimit) return undefined

  const result: Node[] = []
  const add = (op: string, inputs: string[], outputs: string[], attributes: Node['attributes'] = {}) =>
    result.push({ name: fresh(`${node.name}/${op}`), op, domain: '', inputs, outputs, attributes })
  const store = (hint: string, tensor: Tensor) => {
    const name = fresh(`${node.name}/${hint}`)
    initializers.set(name, tensor)
    return name
  }
  const axis = store('axis', int64([0]))
  const shared = new Map<string, string>([[graph.inputs[1].name, store('condition', scalar('bool', true))]])
  for (const [name, tensor] of graph.initializers) shared.set(name, store(name, tensor))

  let carried = initial
  const scanned: string[][] = graph.outputs.slice(1 + initial.length).map(() => [])
  for (let i = 0; i < trips; i++) {
    const renamed = new Map(shared)
    renamed.set(graph.inputs[0].name, store('iteration', scalar('int64', i)))
    carried.forEach((value, j) => renamed.set(graph.inputs[2 + j].name, value))
    result.push(...renameNodes(graph.nodes, renamed, undefined, (hint) => fresh(`${node.name}/${i}/${hint}`)))
    const outputs = graph.outputs.slice(1).map(({ name }) => renamed.get(name) ?? name)
    carried = outputs.slice(0, initial.length)
    outputs.slice(initial.length).forEach((value, j) => {
      const row = fresh(`${value}/row`)
      add('Unsqueeze', [value, axis], [row])
      scanned[j].push(row)
    })
  }
  node.outputs.forEach((output, j) => {
    if (output === '') return
    if (j < carried.length) add('Identity', [carried[j]], [output])
    else add('Concat', scanned[j - carried.length], [output], { axis: { kind: 'int', value: 0 } })
  })
  return result
}

/** Whether the body hands on a true condition: its own, or a constant. */
function staysTrue(graph: Graph): boolean {
  let name = graph.outputs[0].name
  for (let steps = 0; steps < graph.nodes.length + 1; steps++) {
    if (name === graph.inputs[1].name) return true
    const producer = graph.nodes.find(({ outputs }) => outputs.includes(name))
    const constant = producer ? tensorAttribute(producer, 'value') : graph.initializers.get(name)
    if (constant) return Number(constant.data[0]) === 1
    if (producer?.op !== 'Identity') return false
    name = producer.inputs[0]
  }
  return false
}
