/** Shape inference over the operator records, with the shape arithmetic folded on the way. */
import { EspalierError, ModelError, UnsupportedError } from '../errors.ts'
import { elementCount, type Tensor } from '../tensor/tensor.ts'
import { mapSubgraphs, nodeLabel } from './graph.ts'
import { inferControl } from './infer-control.ts'
import {
  operatorKey,
  tensorAttribute,
  type Attribute,
  type Dim,
  type Graph,
  type LocalFunction,
  type Model,
  type Node,
  type TensorType,
} from './model.ts'
import { operators } from './ops/index.ts'
import { partialEvaluate, partialOf, shapeFromTarget, type PartialValue, type ShapeScope } from './shape-values.ts'

/** What is known of the values of a graph. */
export interface TypeTable {
  /** The type of a value of the main graph; undefined where neither a rule nor a declaration tells. */
  get(value: string): TensorType | undefined
  /** The value where it is an initializer, a Constant, or small and computed from such. */
  constant(value: string): Tensor | undefined
  /** What the rules complained about; types of such outputs are the declared ones. */
  readonly problems: readonly { readonly node: Node; readonly error: EspalierError }[]
}

/** Values up to this many elements are computed during inference. */
const LARGEST_FOLDED = 4096
/** Constants of more elements are not computed with during inference. */
const LARGEST_OPERAND = 2 ** 18
/** Nodes of function bodies that one inference looks at; a few functions that call each other could make billions. */
const CALL_BUDGET = 200_000

/**
 * The types of all values of the main graph: by the operator records where there is one, from the declared types where
 * not. A rule that fails leaves its complaint in `problems` and does not stop the others.
 */
export function inferShapes(model: Model): TypeTable {
  const scope = createScope(model.functions)
  scope.addGraph(model.graph)
  return scope
}

/** The types of one graph while it is walked; sub-graphs get a scope that sees this one. */
export interface Scope extends TypeTable {
  set(value: string, type: TensorType | undefined): void
  /** Takes inputs, initializers and nodes of a graph. `inputs` override the declared types, in order. */
  addGraph(graph: Graph, inputs?: readonly (TensorType | undefined)[]): void
  addNode(node: Node): void
  addConstant(value: string, tensor: Tensor): void
  /** Declares the type that counts for `value` where no rule tells more. */
  declare(value: string, type: TensorType): void
  child(): Scope
  partial(value: string): PartialValue | undefined
}

/** What the scopes of one inference have in common. */
interface Shared {
  readonly problems: { node: Node; error: EspalierError }[]
  /** The functions whose bodies are being looked at. */
  readonly calls: Set<LocalFunction>
  budget: number
}

/** A scope without values; `outer` is seen through. */
export function createScope(
  functions: readonly LocalFunction[],
  outer?: Scope,
  shared: Shared = { problems: [], calls: new Set(), budget: CALL_BUDGET },
): Scope {
  const types = new Map<string, TensorType>()
  const constants = new Map<string, Tensor>()
  const partials = new Map<string, PartialValue>()
  const declared = new Map<string, TensorType>()
  const { problems } = shared
  const get = (value: string) => types.get(value) ?? outer?.get(value)
  const constant = (value: string) => constants.get(value) ?? outer?.constant(value)
  const partial = (value: string) => partials.get(value) ?? partialOf(constants.get(value)) ?? outer?.partial(value)

  const addConstant = (value: string, tensor: Tensor) => {
    constants.set(value, tensor)
    types.set(value, { dtype: tensor.dtype, shape: tensor.shape })
  }

  const addNode = (node: Node): void => {
    const input = (index: number) => node.inputs[index] || undefined
    const shapes: ShapeScope = {
      type: (index) => (input(index) === undefined ? undefined : get(node.inputs[index])),
      constant: (index) => (input(index) === undefined ? undefined : constant(node.inputs[index])),
      partial: (index) => (input(index) === undefined ? undefined : partial(node.inputs[index])),
    }
    const constantTensor = constantNode(node)
    if (constantTensor) {
      addConstant(node.outputs[0], constantTensor)
      return
    }
    const inputs = node.inputs.map((_, index) => shapes.type(index))
    let outputs: readonly (TensorType | undefined)[] = []
    try {
      outputs = inferOutputs(node, inputs, shapes)
    } catch (error) {
      problems.push({ node, error: asProblem(node, error) })
    }
    for (const [index, output] of node.outputs.entries()) {
      if (output === '') continue
      const type = mergeTypes(outputs[index], declared.get(output))
      if (type) types.set(output, type)
    }
    fold(node, shapes)
  }

  const inferOutputs = (
    node: Node,
    inputs: readonly (TensorType | undefined)[],
    shapes: ShapeScope,
  ): readonly (TensorType | undefined)[] => {
    const local = functions.find((item) => item.name === node.op && item.domain === node.domain)
    if (local) return inferCall(local, node, inputs)
    const control = inferControl(node, inputs, self)
    if (control) return control
    const record = operators.get(operatorKey(node))
    const result = record?.infer({ node, inputs, constant: shapes.constant }) ?? []
    const target = shapeFromTarget(node, shapes)
    if (!target) return result
    const dtype = result[0]?.dtype ?? inputs[0]?.dtype
    return dtype ? [mergeTypes(result[0], { dtype, shape: target })] : result
  }

  const inferCall = (local: LocalFunction, call: Node, inputs: readonly (TensorType | undefined)[]) => {
    if (shared.calls.has(local))
      throw new ModelError('recursive-function', `function ${local.name} calls itself`, { place: local.name })
    shared.budget -= local.nodes.length
    if (shared.budget < 0) return []
    shared.calls.add(local)
    const inner = createScope(functions, undefined, shared)
    local.inputs.forEach((name, index) => inner.set(name, inputs[index]))
    const attributes = { ...local.attributeDefaults, ...call.attributes }
    for (const node of local.nodes) inner.addNode(bindAttributes(node, attributes))
    shared.calls.delete(local)
    return local.outputs.map((name) => inner.get(name))
  }

  const fold = (node: Node, shapes: ShapeScope): void => {
    const [output] = node.outputs
    if (output === undefined || output === '') return
    const known = partialEvaluate(node, shapes)
    const record = operators.get(operatorKey(node))
    const small = node.outputs.every((name) => {
      const shape = name === '' ? [] : types.get(name)?.shape
      return shape?.every((dim) => typeof dim === 'number') && elementCount(shape) <= LARGEST_FOLDED
    })
    const inputs = node.inputs.map((_, index) => shapes.constant(index))
    const complete =
      node.inputs.length > 0 &&
      inputs.every((tensor, index) =>
        tensor ? elementCount(tensor.shape) <= LARGEST_OPERAND : node.inputs[index] === '',
      )
    if (complete && small && record?.evaluate && !isRandom(node)) {
      try {
        const results = record.evaluate({ node, inputs })
        node.outputs.forEach((name, index) => name !== '' && results[index] && addConstant(name, results[index]))
        return
      } catch (error) {
        const problem = asProblem(node, error)
        if (!(problem instanceof UnsupportedError)) problems.push({ node, error: problem })
      }
    }
    if (!known) return
    const type = types.get(output)
    if (!type?.shape || type.shape.length > 1) return
    if (known.every((dim) => typeof dim === 'number') && (type.dtype === 'int64' || type.dtype === 'int32')) {
      const data = type.dtype === 'int64' ? BigInt64Array.from(known, BigInt) : Int32Array.from(known)
      addConstant(output, { dtype: type.dtype, shape: type.shape.length === 0 ? [] : [known.length], data })
    } else partials.set(output, known)
  }

  const self: Scope = {
    get,
    constant,
    partial,
    problems,
    addNode,
    addConstant,
    set: (value, type) => (type ? types.set(value, type) : types.delete(value)),
    declare: (value, type) => declared.set(value, type),
    child: () => createScope(functions, self, shared),
    addGraph(graph, inputs) {
      for (const [index, info] of graph.inputs.entries()) {
        const type = mergeTypes(inputs?.[index], info.type)
        if (type) types.set(info.name, type)
      }
      for (const [name, tensor] of graph.initializers) addConstant(name, tensor)
      for (const info of [...graph.values, ...graph.outputs])
        if (info.type) declared.set(info.name, mergeTypes(declared.get(info.name), info.type)!)
      for (const node of graph.nodes) addNode(node)
    },
  }
  return self
}

/** Rules may assume the inputs and attributes that the schema demands; a node without them is malformed. */
function asProblem(node: Node, error: unknown): EspalierError {
  if (error instanceof EspalierError) return error
  return new ModelError('malformed-node', `${node.op} does not have the inputs and attributes that it needs`, {
    place: nodeLabel(node),
    cause: error,
  })
}

/** A node of a function's body with the caller's attributes in the place of references; absent ones are left out. */
function bindAttributes(node: Node, attributes: Readonly<Record<string, Attribute>>): Node {
  const bound = Object.entries(node.attributes).flatMap(([name, attribute]) => {
    if (attribute.kind !== 'reference') return [[name, attribute] as const]
    return Object.hasOwn(attributes, attribute.value) ? [[name, attributes[attribute.value]] as const] : []
  })
  const inGraph = (graph: Graph): Graph => ({
    ...graph,
    nodes: graph.nodes.map((inner) => bindAttributes(inner, attributes)),
  })
  return mapSubgraphs({ ...node, attributes: Object.fromEntries(bound) }, inGraph)
}

/** Operators that give another result each time are never folded. */
export function isRandom(node: Node): boolean {
  return /^(Random|Multinomial|Bernoulli)/.test(node.op) || node.op === 'Dropout'
}

/** The tensor of a Constant node in any of its forms but the sparse one. */
export function constantNode(node: Node): Tensor | undefined {
  if (node.op !== 'Constant' || node.domain !== '') return undefined
  const value = tensorAttribute(node, 'value')
  if (value) return value
  for (const [name, attribute] of Object.entries(node.attributes)) {
    if (name === 'value_int' && attribute.kind === 'int')
      return { dtype: 'int64', shape: [], data: BigInt64Array.of(BigInt(attribute.value)) }
    if (name === 'value_ints' && attribute.kind === 'ints')
      return { dtype: 'int64', shape: [attribute.value.length], data: BigInt64Array.from(attribute.value, BigInt) }
    if (name === 'value_float' && attribute.kind === 'float')
      return { dtype: 'float32', shape: [], data: Float32Array.of(attribute.value) }
    if (name === 'value_floats' && attribute.kind === 'floats')
      return { dtype: 'float32', shape: [attribute.value.length], data: Float32Array.from(attribute.value) }
    if (name === 'value_string' && attribute.kind === 'string')
      return { dtype: 'string', shape: [], data: [attribute.value] }
    if (name === 'value_strings' && attribute.kind === 'strings')
      return { dtype: 'string', shape: [attribute.value.length], data: [...attribute.value] }
  }
  return undefined
}

/** `first` where it says something, `second` where not; a number is better than a symbol. */
function mergeTypes(first: TensorType | undefined, second: TensorType | undefined): TensorType | undefined {
  if (!first || !second) return first ?? second
  if (!first.shape) return first.dtype === second.dtype ? second : first
  if (!second.shape || second.shape.length !== first.shape.length) return first
  const shape = first.shape.map((dim, axis): Dim => {
    const other = second.shape![axis]
    return typeof dim === 'number' ? dim : typeof other === 'number' ? other : (dim ?? other)
  })
  return { dtype: first.dtype, shape }
}
