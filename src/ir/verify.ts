/** Says what is wrong with a model: everything at once. */
import { ModelError } from '../errors.ts'
import { storageLength } from '../tensor/dtype.ts'
import { elementCount, type Tensor } from '../tensor/tensor.ts'
import { nodeLabel, topologicalOrder } from './graph.ts'
import { inferShapes } from './infer.ts'
import {
  subgraphs,
  type Dim,
  type Graph,
  type LocalFunction,
  type Model,
  type Node,
  type TensorType,
  type ValueInfo,
} from './model.ts'

export interface Problem {
  /** A stable identifier, such as 'undefined-value'. */
  readonly code: string
  /** A full sentence without the place. */
  readonly message: string
  /** The node, value or tensor. */
  readonly place: string
  readonly hint?: string
}

/**
 * All problems of a model: names given twice, values that nobody makes, cycles, outputs that are not produced, types that
 * do not fit, initializers unlike their declaration, tensors of the wrong length, domains without an opset, and the same in
 * sub-graphs and local functions. An empty list means that the graph is sound; operators without a record are not judged.
 */
export function verify(model: Model): Problem[] {
  const problems: Problem[] = []
  const report: Report = (code, message, place, hint) => problems.push({ code, message, place, hint })
  checkGraph(model.graph, new Set(), model.opsets, report)
  if (model.graph.outputs.length === 0)
    report('no-outputs', 'The graph has no outputs.', model.graph.name, 'Declare at least one output.')
  for (const item of model.functions) checkFunction(item, report)
  if (problems.length === 0) checkTypes(model, report)
  return problems
}

/** @throws ModelError that lists all problems, when there are any. */
export function assertValid(model: Model): void {
  const problems = verify(model)
  if (problems.length === 0) return
  const [first] = problems
  const SHOWN = 20
  const lines = problems
    .slice(0, SHOWN)
    .map(({ message, place }) => (message.startsWith(`${place}: `) ? message : `${place}: ${message}`))
  if (problems.length > SHOWN) lines.push(`… and ${problems.length - SHOWN} more`)
  const what = problems.length === 1 ? 'the model is not valid' : `the model has ${problems.length} problems`
  throw new ModelError(first.code, `${what}:\n${lines.join('\n')}`, {
    place: first.place,
    hint: first.hint ?? 'Export the model again.',
  })
}

type Report = (code: string, message: string, place: string, hint?: string) => void

function checkGraph(
  graph: Graph,
  outer: ReadonlySet<string>,
  opsets: ReadonlyMap<string, number>,
  report: Report,
): void {
  const visible = new Set(outer)
  const define = (name: string, place: string) => {
    if (name === '') report('empty-name', 'A value has no name.', place)
    else if (visible.has(name))
      report('duplicate-value', `The value '${name}' is given twice.`, place, 'Give every value a name of its own.')
    visible.add(name)
  }
  for (const info of graph.inputs) define(info.name, `graph '${graph.name}'`)
  const declared = new Map(graph.inputs.map((info) => [info.name, info]))
  for (const [name, tensor] of graph.initializers) {
    const input = declared.get(name)
    if (input) checkInitializer(name, tensor, input, report)
    else define(name, `initializer '${name}'`)
    checkTensor(name, tensor, report)
  }
  checkNodes(graph.nodes, visible, opsets, report)
  const outputs = new Set<string>()
  for (const { name } of graph.outputs) {
    if (!visible.has(name))
      report('output-not-produced', `The output '${name}' is made by no node.`, name, 'Export the model again.')
    if (outputs.has(name)) report('duplicate-output', `The output '${name}' is listed twice.`, name)
    outputs.add(name)
  }
}

/** Checks nodes in a scope of which `visible` are the values so far; adds those that the nodes make. */
function checkNodes(
  nodes: readonly Node[],
  visible: Set<string>,
  opsets: ReadonlyMap<string, number>,
  report: Report,
): void {
  const produced = new Set(nodes.flatMap((node) => node.outputs))
  let cyclic = false
  try {
    topologicalOrder(nodes)
  } catch (error) {
    if (!(error instanceof ModelError)) throw error
    cyclic = true
    report(error.code, sentence(error.message), error.place ?? '', error.hint)
  }
  for (const node of nodes) {
    const place = `${node.op} '${nodeLabel(node)}'`
    if (node.op === '') report('empty-operator', 'A node has no operator.', place)
    if (!opsets.has(node.domain))
      report(
        'unknown-domain',
        `The domain '${node.domain || 'ai.onnx'}' has no opset in the model.`,
        place,
        'Import the opset of the domain.',
      )
    for (const input of node.inputs) {
      if (input === '' || visible.has(input)) continue
      if (!produced.has(input))
        report(
          'undefined-value',
          `The input '${input}' is made by no node, and is neither an input of the graph nor an initializer.`,
          place,
          'An initializer is missing, or a name is misspelled.',
        )
      else if (!cyclic) report('order', `The input '${input}' is read before it is made.`, place, 'Sort the nodes.')
    }
    for (const graph of subgraphs(node))
      checkGraph(graph, new Set([...visible, ...laterOf(produced, cyclic)]), opsets, report)
    if (node.outputs.every((output) => output === '')) report('no-output', 'The node has no output.', place)
    for (const output of node.outputs) {
      if (output === '') continue
      if (visible.has(output))
        report('duplicate-value', `The value '${output}' is given twice.`, place, 'Give every value a name of its own.')
      visible.add(output)
    }
  }
}

/** In a cyclic graph nothing is known to come later: sub-graphs may then read all values, and the cycle alone is reported. */
function laterOf(produced: ReadonlySet<string>, cyclic: boolean): ReadonlySet<string> {
  return cyclic ? produced : new Set()
}

function sentence(text: string): string {
  return `${text[0].toUpperCase()}${text.slice(1)}.`
}

function checkTensor(name: string, tensor: Tensor, report: Report): void {
  const place = `initializer '${name}'`
  if (tensor.shape.some((size) => !Number.isSafeInteger(size) || size < 0)) {
    report('tensor-shape', `The shape [${tensor.shape.join(', ')}] is impossible.`, place)
    return
  }
  const expected = storageLength(tensor.dtype, elementCount(tensor.shape))
  if (tensor.data.length !== expected)
    report(
      'tensor-length',
      `A ${tensor.dtype} tensor of shape [${tensor.shape.join(', ')}] needs ${expected} stored elements, not ${tensor.data.length}.`,
      place,
    )
}

function checkInitializer(name: string, tensor: Tensor, input: ValueInfo, report: Report): void {
  if (!input.type || fits({ dtype: tensor.dtype, shape: tensor.shape }, input.type)) return
  report(
    'initializer-type',
    `The initializer is ${formatType({ dtype: tensor.dtype, shape: tensor.shape })}, but declared as ${formatType(input.type)}.`,
    `initializer '${name}'`,
    'Correct the declared input, or the tensor.',
  )
}

/** Whether two types can be of the same value: symbols fit everything. */
function fits(a: TensorType, b: TensorType): boolean {
  if (a.dtype !== b.dtype) return false
  if (!a.shape || !b.shape) return true
  const agrees = (dim: Dim, axis: number) =>
    typeof dim !== 'number' || typeof b.shape![axis] !== 'number' || dim === b.shape![axis]
  return a.shape.length === b.shape.length && a.shape.every(agrees)
}

/** A type as text: `float32[N, 3, 224, 224]`, with `?` where a size is unknown. */
function formatType(type: TensorType): string {
  return type.shape ? `${type.dtype}[${type.shape.map((dim) => dim ?? '?').join(', ')}]` : type.dtype
}

function checkFunction(item: LocalFunction, report: Report): void {
  const nested: Report = (code, message, place, hint) =>
    report(code, message, `function '${item.name}', ${place}`, hint)
  const visible = new Set(item.inputs)
  checkNodes(item.nodes, visible, item.opsets, nested)
  for (const output of item.outputs)
    if (!visible.has(output)) nested('output-not-produced', `The output '${output}' is made by no node.`, output)
}

function checkTypes(model: Model, report: Report): void {
  const types = inferShapes({
    ...model,
    graph: { ...model.graph, outputs: model.graph.outputs.map(({ name }) => ({ name })) },
  })
  for (const { node, error } of types.problems)
    if (error instanceof ModelError)
      report(error.code, sentence(error.message), `${node.op} '${nodeLabel(node)}'`, error.hint)
  for (const { name, type } of model.graph.outputs) {
    const inferred = types.get(name)
    if (!type || !inferred || fits(inferred, type)) continue
    report(
      'output-type',
      `The output is ${formatType(inferred)}, but declared as ${formatType(type)}.`,
      `output '${name}'`,
      'Declare the output as it is.',
    )
  }
}
