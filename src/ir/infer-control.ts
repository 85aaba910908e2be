/** Types of what If, Loop and Scan give, from their sub-graphs. */
import type { Scope } from './infer.ts'
import { intAttribute, intsAttribute, subgraphs, type Dim, type Graph, type Node, type TensorType } from './model.ts'

/** The output types of a control-flow node; undefined when the node is none. Nothing is claimed that an iteration can change. */
export function inferControl(
  node: Node,
  inputs: readonly (TensorType | undefined)[],
  scope: Scope,
): readonly (TensorType | undefined)[] | undefined {
  if (node.domain !== '') return undefined
  if (node.op === 'If') {
    const [first, ...others] = subgraphs(node).map((graph) => outputTypes(graph, [], scope))
    return first?.map((type, index) => others.reduce((common, types) => commonType(common, types[index]), type))
  }
  const [body] = subgraphs(node)
  if (!body) return undefined
  if (node.op === 'Loop') {
    const carried = inputs.slice(2).map(withoutShape)
    const types = outputTypes(body, [{ dtype: 'int64', shape: [] }, { dtype: 'bool', shape: [] }, ...carried], scope)
    return types.slice(1).map((type, index) => (index < carried.length ? (carried[index] ?? type) : stacked(type, 0)))
  }
  if (node.op === 'Scan') {
    const scanned = intAttribute(node, 'num_scan_inputs', 0)
    const states = inputs.length - scanned
    const inputAxes = intsAttribute(node, 'scan_input_axes') ?? []
    const slices = inputs.slice(states).map((type, index) => sliced(type, inputAxes[index] ?? 0))
    const types = outputTypes(body, [...inputs.slice(0, states), ...slices], scope)
    const outputAxes = intsAttribute(node, 'scan_output_axes') ?? []
    return types.map((type, index) => (index < states ? inputs[index] : stacked(type, outputAxes[index - states] ?? 0)))
  }
  return undefined
}

function outputTypes(
  graph: Graph,
  inputs: readonly (TensorType | undefined)[],
  scope: Scope,
): (TensorType | undefined)[] {
  const inner = scope.child()
  inner.addGraph(graph, inputs)
  return graph.outputs.map((output) => inner.get(output.name) ?? output.type)
}

function withoutShape(type: TensorType | undefined): TensorType | undefined {
  return type && { dtype: type.dtype }
}

/** The type of what is collected over iterations, of which the number is not known. */
function stacked(type: TensorType | undefined, axis: number): TensorType | undefined {
  if (!type?.shape) return type
  const at = axis < 0 ? type.shape.length + 1 + axis : axis
  return { dtype: type.dtype, shape: type.shape.toSpliced(at, 0, null) }
}

function sliced(type: TensorType | undefined, axis: number): TensorType | undefined {
  if (!type?.shape) return type
  return { dtype: type.dtype, shape: type.shape.toSpliced(axis, 1) }
}

function commonType(a: TensorType | undefined, b: TensorType | undefined): TensorType | undefined {
  if (!a || !b || a.dtype !== b.dtype) return undefined
  if (!a.shape || !b.shape || a.shape.length !== b.shape.length) return { dtype: a.dtype }
  return { dtype: a.dtype, shape: a.shape.map((dim, axis): Dim => (dim === b.shape![axis] ? dim : null)) }
}
