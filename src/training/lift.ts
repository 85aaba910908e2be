/**
 * Finds the standard nodes that the bodies of custom-gradient operators wrote and puts the operators back, so that a
 * training of an exported model goes straight through what is quantized in it, whoever exported it.
 */
import { mapSubgraphs, valueNames, valuesRead } from '../ir/graph.ts'
import { ESPALIER_DOMAIN, intAttribute, type Attribute, type Graph, type Model, type Node } from '../ir/model.ts'
import { toNumbers } from '../tensor/elements.ts'
import { identical, type Tensor } from '../tensor/tensor.ts'
import { stepFunction } from './lift-step-function.ts'

/** What a rule sees of the graph around a node. */
export interface LiftContext {
  /** The standard node of this type that makes `value`, if one does. */
  made(value: string | undefined, op: string): Node | undefined
  /** The value of an initializer that nobody feeds. */
  constant(value: string | undefined): Tensor | undefined
  /** Whether `value` is a constant of one element, and this number. */
  isNumber(value: string | undefined, number: number): boolean
  /** Adds an initializer, under a name made from the node's, and returns the name. */
  literal(hint: string, tensor: Tensor): string
}

/** The operator that a standard form stands for. */
export interface Lifted {
  readonly op: string
  readonly inputs: readonly string[]
  readonly attributes?: Readonly<Record<string, Attribute>>
}

/** One for each operator whose body can be told from its nodes. */
export interface LiftRule {
  /** The last node of the form. */
  readonly last: string
  match(node: Node, context: LiftContext): Lifted | undefined
}

/** The forms, each as the body of its operator writes it. */
const rules: readonly LiftRule[] = [
  { last: 'DequantizeLinear', match: fakeQuantize },
  { last: 'DequantizeLinear', match: stepFunction },
  { last: 'Gather', match: stepFunction },
  { last: 'Where', match: sign },
  { last: 'Round', match: ({ inputs: [x] }) => ({ op: 'RoundStraightThrough', inputs: [x] }) },
]

/** DequantizeLinear(QuantizeLinear(x, s, z), s, z); codes that are constants, as those of weights, are none of it. */
function fakeQuantize(node: Node, { made, constant }: LiftContext): Lifted | undefined {
  const [codes, scale, zeroPoint = ''] = node.inputs
  const quantize = made(codes, 'QuantizeLinear')
  if (!quantize) return undefined
  const [x, ownScale, ownZeroPoint = ''] = quantize.inputs
  const same = (a: string, b: string) => {
    const [left, right] = [constant(a), constant(b)]
    return a === b || (left !== undefined && right !== undefined && identical(left, right))
  }
  if (!same(scale, ownScale) || !same(zeroPoint, ownZeroPoint)) return undefined
  const plain = [node, quantize].every((one) => intAttribute(one, 'block_size', 0) === 0)
  const typed = zeroPoint !== '' || intAttribute(quantize, 'output_dtype', 0) === 0
  const axis = intAttribute(node, 'axis', 1)
  if (!plain || !typed || axis !== intAttribute(quantize, 'axis', 1)) return undefined
  return {
    op: 'FakeQuantize',
    inputs: zeroPoint === '' ? [x, scale] : [x, scale, zeroPoint],
    attributes: { axis: { kind: 'int', value: axis } },
  }
}

/** Where(x >= 0, 1, -1). */
function sign({ inputs: [condition, positive, negative] }: Node, context: LiftContext): Lifted | undefined {
  const compare = context.made(condition, 'GreaterOrEqual')
  if (!compare || !context.isNumber(compare.inputs[1], 0)) return undefined
  if (!context.isNumber(positive, 1) || !context.isNumber(negative, -1)) return undefined
  return { op: 'SignStraightThrough', inputs: [compare.inputs[0]] }
}

/** The same function with the gradients that its quantizers were made with; the model itself where it has none. */
export function lift(model: Model): Model {
  const fed = new Set(model.graph.inputs.map(({ name }) => name))
  const initializer = (name: string) => (fed.has(name) ? undefined : model.graph.initializers.get(name))
  const graph = liftGraph(model.graph, initializer)
  if (graph === model.graph) return model
  return { ...model, graph, opsets: new Map(model.opsets).set(ESPALIER_DOMAIN, 1) }
}

function liftGraph(graph: Graph, outer: (name: string) => Tensor | undefined): Graph {
  const producers = new Map(graph.nodes.flatMap((node) => node.outputs.map((output) => [output, node] as const)))
  const constant = (name = '') => graph.initializers.get(name) ?? (producers.has(name) ? undefined : outer(name))
  const added = new Map<string, Tensor>()
  const context: Omit<LiftContext, 'literal'> = {
    constant,
    made(value = '', op) {
      const node = producers.get(value)
      return node?.domain === '' && node.op === op ? node : undefined
    },
    isNumber(value, number) {
      const tensor = constant(value)
      return tensor !== undefined && tensor.shape.length === 0 && toNumbers(tensor)[0] === number
    },
  }
  const used = valueNames(graph)
  const literal = (node: Node) => (hint: string, tensor: Tensor) => {
    let name = `${node.outputs[0]}.${hint}`
    while (used.has(name)) name += '_'
    used.add(name)
    added.set(name, tensor)
    return name
  }
  const inner = (within: Graph) => liftGraph(within, (name) => constant(name))
  const passed = new Set<string>()
  const nodes = graph.nodes.map((node) => {
    const fitting = node.domain === '' ? rules.filter(({ last }) => last === node.op) : []
    const lifted = firstOf(fitting, ({ match }) => match(node, { ...context, literal: literal(node) }))
    if (!lifted) return mapSubgraphs(node, inner)
    for (const input of node.inputs) passed.add(input)
    return { ...node, attributes: {}, ...lifted, domain: ESPALIER_DOMAIN }
  })
  if (nodes.every((node, i) => node === graph.nodes[i])) return graph
  const initializers = added.size === 0 ? graph.initializers : new Map([...graph.initializers, ...added])
  return { ...graph, initializers, nodes: withoutUnread(nodes, passed, graph) }
}

function firstOf<A, B>(list: readonly A[], find: (item: A) => B | undefined): B | undefined {
  for (const item of list) {
    const found = find(item)
    if (found) return found
  }
  return undefined
}

/** Leaves out the parts of forms that nothing else reads. */
function withoutUnread(nodes: readonly Node[], passed: Set<string>, { outputs }: Graph): readonly Node[] {
  const readers = new Map(outputs.map(({ name }) => [name, 1]))
  const read = (value: string, by: number) => readers.set(value, (readers.get(value) ?? 0) + by)
  for (const node of nodes) for (const value of valuesRead(node)) read(value, 1)
  const left = nodes.toReversed().filter((node) => {
    if (!node.outputs.every((output) => passed.has(output) && !readers.get(output))) return true
    for (const value of valuesRead(node)) {
      passed.add(value)
      read(value, -1)
    }
    return false
  })
  return left.reverse()
}
