import { UsageError } from '../errors.ts'
import type { DType } from '../tensor/dtype.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { mapSubgraphs, outerValues, topologicalOrder, valueNames, valuesRead, visitNodes } from './graph.ts'
import {
  CANONICAL_OPSET,
  ESPALIER_DOMAIN,
  type Attribute,
  type Dim,
  type Graph,
  type Model,
  type Node,
  type ValueInfo,
} from './model.ts'

/** Plain values that `draft.add` turns into attributes: integers in `ints`, others in `floats` by explicit attribute. */
export type AttributeValue =
  | Attribute
  | number
  | string
  | boolean
  | readonly number[]
  | readonly string[]
  | Tensor
  | Graph

export interface NodeOptions {
  readonly domain?: string
  /** The node's name; made unique. Defaults to the operator's type. */
  readonly name?: string
  /** The outputs: how many, or their names (made unique unless they are exactly free). Default 1. */
  readonly outputs?: number | readonly string[]
}

/**
 * A graph under construction: started empty or from a model, edited in place, and turned into a new `Model` by `finish`.
 * The model that it started from is never changed.
 */
export interface Draft {
  readonly inputs: ValueInfo[]
  readonly outputs: ValueInfo[]
  readonly nodes: Node[]
  readonly initializers: Map<string, Tensor>
  readonly opsets: Map<string, number>
  readonly metadata: Map<string, string>
  /** Declares a graph input and returns its name. */
  input(name: string, dtype: DType, shape?: readonly Dim[]): string
  /** Declares an existing value as graph output. */
  output(name: string, dtype?: DType, shape?: readonly Dim[]): void
  /** Adds an initializer under a fresh name made from `hint` and returns the name. */
  constant(hint: string, tensor: Tensor): string
  /** Appends a node and returns its only output. */
  add(
    op: string,
    inputs: readonly (string | undefined)[],
    attributes?: Record<string, AttributeValue>,
    options?: NodeOptions,
  ): string
  /** Appends a node and returns all its outputs. */
  addMany(
    op: string,
    inputs: readonly (string | undefined)[],
    attributes?: Record<string, AttributeValue>,
    options?: NodeOptions,
  ): string[]
  /** A name that nothing in the graph or its sub-graphs uses yet. */
  fresh(hint: string): string
  /** Makes every reader of `from` (nodes, and optionally graph outputs) read `to` instead; sub-graphs too. */
  redirect(from: string, to: string): void
  /**
   * Puts what `write` returns in the place of `value`, and returns it too: the nodes that `write` appends read `value`
   * itself, everybody else reads what they make of it.
   */
  interpose(value: string, write: () => string): string
  /** Sorts topologically, drops nodes and initializers that nothing reads, and returns the model. @throws ModelError on a cycle. */
  finish(options?: { readonly keepUnused?: boolean }): Model
}

/** Float attributes must be told apart from integers: `float(1)` is a float, a bare 1 an int. */
export const float = (value: number): Attribute => ({ kind: 'float', value })
export const floats = (value: readonly number[]): Attribute => ({ kind: 'floats', value })

/** Turns a plain value into an attribute: whole numbers become ints, others floats; an empty list becomes ints. */
export function toAttribute(value: AttributeValue): Attribute {
  if (typeof value === 'number') return Number.isInteger(value) ? { kind: 'int', value } : { kind: 'float', value }
  if (typeof value === 'boolean') return { kind: 'int', value: value ? 1 : 0 }
  if (typeof value === 'string') return { kind: 'string', value }
  if (Array.isArray(value)) {
    if (value.every((item) => typeof item === 'string') && value.length > 0) return { kind: 'strings', value }
    if (!value.every(Number.isInteger)) return { kind: 'floats', value: value as number[] }
    return { kind: 'ints', value: value as number[] }
  }
  if ('kind' in (value as object)) return value as Attribute
  if ('dtype' in (value as object)) return { kind: 'tensor', value: value as Tensor }
  if ('nodes' in (value as object)) return { kind: 'graph', value: value as Graph }
  throw new UsageError(
    'attribute-value',
    `no ONNX attribute can hold an object with the keys ${Object.keys(value).join(', ')}`,
  )
}

/** The IR version that goes with the canonical opset. */
const IR_VERSION = 10

/** Starts a draft: empty, or with all that `from` holds. */
export function createDraft(from?: Model): Draft {
  const inputs = [...(from?.graph.inputs ?? [])]
  const outputs = [...(from?.graph.outputs ?? [])]
  const nodes = [...(from?.graph.nodes ?? [])]
  const initializers = new Map(from?.graph.initializers)
  const opsets = new Map(from?.opsets ?? [['', CANONICAL_OPSET]])
  const metadata = new Map(from?.metadata)
  const used = from ? valueNames(from.graph) : new Set<string>()
  const nodeNames = new Set<string>()
  if (from) visitNodes(from.graph, (node) => nodeNames.add(node.name))
  const counters = new Map<string, number>()

  const unique = (hint: string, taken: Set<string>): string => {
    let name = hint
    for (let i = counters.get(hint) ?? 1; name === '' || taken.has(name); i++) {
      name = `${hint}_${i}`
      counters.set(hint, i + 1)
    }
    taken.add(name)
    return name
  }
  const fresh = (hint: string) => unique(hint, used)

  const redirect: Draft['redirect'] = (from, to) => {
    nodes.forEach((node, i) => (nodes[i] = redirectNode(node, from, to)))
    outputs.forEach((output, i) => output.name === from && (outputs[i] = { ...output, name: to }))
  }
  const addMany: Draft['addMany'] = (op, values, attributes = {}, options = {}) => {
    const prefixed = op.startsWith(`${ESPALIER_DOMAIN}.`)
    const type = prefixed ? op.slice(ESPALIER_DOMAIN.length + 1) : op
    const domain = options.domain ?? (prefixed ? ESPALIER_DOMAIN : '')
    if (domain !== '' && !opsets.has(domain)) opsets.set(domain, 1)
    const name = unique(options.name ?? type, nodeNames)
    const wanted = options.outputs ?? 1
    const results =
      typeof wanted === 'number'
        ? Array.from({ length: wanted }, (_, i) => fresh(wanted === 1 ? name : `${name}_output${i}`))
        : wanted.map((output) => (output === '' ? '' : fresh(output)))
    const inputNames = values.map((value) => value ?? '')
    while (inputNames.at(-1) === '') inputNames.pop()
    const converted = Object.entries(attributes).map(([key, value]) => [key, toAttribute(value)] as const)
    nodes.push({
      name,
      op: type,
      domain,
      inputs: inputNames,
      outputs: results,
      attributes: Object.fromEntries(converted),
    })
    return results
  }

  return {
    inputs,
    outputs,
    nodes,
    initializers,
    opsets,
    metadata,
    fresh,
    addMany,
    add: (op, values, attributes, options) =>
      addMany(op, values, attributes, { ...options, ...onlyOutput(options) })[0],
    input(name, dtype, shape) {
      if (used.has(name)) throw new UsageError('duplicate-value', `the graph already has a value '${name}'`)
      used.add(name)
      inputs.push({ name, type: { dtype, shape } })
      return name
    },
    output(name, dtype, shape) {
      outputs.push({ name, type: dtype ? { dtype, shape } : undefined })
    },
    constant(hint, tensor) {
      const name = fresh(hint)
      initializers.set(name, tensor)
      return name
    },
    redirect,
    interpose(value, write) {
      const before = nodes.length
      const result = write()
      const added = nodes.splice(before)
      redirect(value, result)
      nodes.push(...added)
      return result
    },
    finish(options = {}) {
      const wanted = options.keepUnused ? undefined : reachable(nodes, outputs)
      const kept = topologicalOrder(wanted ? nodes.filter((node) => wanted.nodes.has(node)) : nodes)
      const weights = wanted ? [...initializers].filter(([name]) => wanted.values.has(name)) : initializers
      const graph: Graph = {
        ...(from?.graph ?? { name: 'espalier' }),
        nodes: [...kept],
        inputs: [...inputs],
        outputs: [...outputs],
        initializers: new Map(weights),
        values: lastingValues(from, kept, inputs, initializers),
      }
      const start = from ?? { irVersion: IR_VERSION, functions: [] }
      return { ...start, opsets: new Map(opsets), metadata: new Map(metadata), graph }
    },
  }
}

function onlyOutput(options: NodeOptions | undefined): NodeOptions {
  return typeof options?.outputs === 'object' ? { outputs: options.outputs.slice(0, 1) } : { outputs: 1 }
}

function redirectNode(node: Node, from: string, to: string): Node {
  const changed = mapSubgraphs(node, (graph) => {
    if (!outerValues(graph).has(from)) return graph
    const nodes = graph.nodes.map((inner) => redirectNode(inner, from, to))
    const outputs = graph.outputs.map((output) => (output.name === from ? { ...output, name: to } : output))
    return { ...graph, nodes, outputs }
  })
  if (!node.inputs.includes(from)) return changed
  return { ...changed, inputs: changed.inputs.map((input) => (input === from ? to : input)) }
}

/** The nodes that the outputs need, and all values that those and the outputs read. */
function reachable(nodes: readonly Node[], outputs: readonly ValueInfo[]): { nodes: Set<Node>; values: Set<string> } {
  const producers = new Map<string, Node>()
  for (const node of nodes) for (const output of node.outputs) producers.set(output, node)
  const values = new Set<string>()
  const needed = new Set<Node>()
  const pending = outputs.map((output) => output.name)
  for (let value = pending.pop(); value !== undefined; value = pending.pop()) {
    if (values.has(value)) continue
    values.add(value)
    const producer = producers.get(value)
    if (!producer || needed.has(producer)) continue
    needed.add(producer)
    pending.push(...valuesRead(producer))
  }
  return { nodes: needed, values }
}

/**
 * Declared types of inner values that no edit can have made wrong: nothing that they depend on was replaced, but for
 * initializers by others of the same type and shape.
 */
function lastingValues(
  from: Model | undefined,
  nodes: readonly Node[],
  inputs: readonly ValueInfo[],
  initializers: ReadonlyMap<string, Tensor>,
): readonly ValueInfo[] {
  if (!from || from.graph.values.length === 0) return []
  const before = new Set<Node | ValueInfo>([...from.graph.nodes, ...from.graph.inputs])
  const lasting = new Set(inputs.filter((info) => before.has(info)).map((info) => info.name))
  for (const [name, tensor] of initializers) {
    const old = from.graph.initializers.get(name)
    if (old?.dtype === tensor.dtype && String(old.shape) === String(tensor.shape)) lasting.add(name)
  }
  for (const node of nodes) {
    if (!before.has(node) || ![...valuesRead(node)].every((value) => lasting.has(value))) continue
    for (const output of node.outputs) lasting.add(output)
  }
  return from.graph.values.filter((info) => lasting.has(info.name))
}
