/** If, Loop and Scan as ONNX defines them, over a function that runs a sub-graph. */
import { ModelError, UnsupportedError } from '../errors.ts'
import { intAttribute, intsAttribute, type Graph, type Node } from '../ir/model.ts'
import { allocateElements, elementsOf, fromElements, toNumbers } from '../tensor/elements.ts'
import { elementCount, int64, scalar, zeros, type Tensor } from '../tensor/tensor.ts'

/** Runs a sub-graph on the values of its inputs, in order, and returns those of its outputs. */
export type RunGraph = (graph: Graph, inputs: readonly Tensor[]) => readonly Tensor[]

type Inputs = readonly (Tensor | undefined)[]

/** A Loop without a trip count is stopped after this many rounds. */
const roundLimit = 100_000

export function runIf(node: Node, [condition]: Inputs, run: RunGraph): readonly Tensor[] {
  return run(branch(node, truth(condition!) ? 'then_branch' : 'else_branch'), [])
}

/**
 * Inputs: trip count, condition (either may be left out), carried values. Outputs: carried values, then one stack of
 * rows for each further output of the body.
 * @throws UnsupportedError when it does not end by itself.
 */
export function runLoop(node: Node, [trips, condition, ...initial]: Inputs, run: RunGraph): readonly Tensor[] {
  const body = branch(node, 'body')
  const rounds = trips ? toNumbers(trips)[0] : Number.POSITIVE_INFINITY
  let carried = initial as readonly Tensor[]
  let goOn = condition ? truth(condition) : true
  const rows: Tensor[][] = body.outputs.slice(1 + carried.length).map(() => [])
  for (let round = 0; round < rounds && goOn; round++) {
    if (round === roundLimit && !trips)
      throw new UnsupportedError('endless-loop', `Loop '${node.name}' has not ended after ${roundLimit} rounds`, {
        place: node.name,
      })
    const results = run(body, [int64([round], []), scalar('bool', goOn), ...carried])
    goOn = truth(results[0])
    carried = results.slice(1, 1 + carried.length)
    rows.forEach((list, index) => list.push(results[1 + carried.length + index]))
  }
  const declared = body.outputs.slice(1 + carried.length)
  return [...carried, ...rows.map((list, index) => stack(list, 0, declared[index]))]
}

/** Inputs: state, then values to slice along their scan axes. Outputs: state, then stacks of the body's further outputs. */
export function runScan(node: Node, inputs: Inputs, run: RunGraph): readonly Tensor[] {
  const body = branch(node, 'body')
  const scanned = intAttribute(node, 'num_scan_inputs', 0)
  const stateCount = inputs.length - scanned
  let state = inputs.slice(0, stateCount) as readonly Tensor[]
  const sequences = inputs.slice(stateCount) as readonly Tensor[]
  const axes = sequences.map((value, i) => axisOf(intsAttribute(node, 'scan_input_axes')?.[i] ?? 0, value.shape.length))
  const backwards = sequences.map((_, i) => intsAttribute(node, 'scan_input_directions')?.[i] === 1)
  const length = sequences[0].shape[axes[0]]
  if (sequences.some((value, i) => value.shape[axes[i]] !== length))
    throw new ModelError('scan-length', `Scan '${node.name}' runs over values of different lengths`, {
      place: node.name,
    })
  const rows: Tensor[][] = body.outputs.slice(stateCount).map(() => [])
  for (let step = 0; step < length; step++) {
    const slices = sequences.map((value, i) => slice(value, axes[i], backwards[i] ? length - 1 - step : step))
    const results = run(body, [...state, ...slices])
    state = results.slice(0, stateCount)
    rows.forEach((list, index) => list.push(results[stateCount + index]))
  }
  const stacks = rows.map((list, index) => {
    if (intsAttribute(node, 'scan_output_directions')?.[index] === 1) list.reverse()
    return stack(list, intsAttribute(node, 'scan_output_axes')?.[index] ?? 0, body.outputs[stateCount + index])
  })
  return [...state, ...stacks]
}

function branch(node: Node, name: string): Graph {
  const attribute = node.attributes[name]
  if (attribute?.kind === 'graph') return attribute.value
  throw new ModelError('missing-subgraph', `${node.op} '${node.name}' has no ${name}`, { place: node.name })
}

function truth(condition: Tensor): boolean {
  return toNumbers(condition)[0] !== 0
}

function axisOf(axis: number, rank: number): number {
  return axis < 0 ? axis + rank : axis
}

/** Entry `index` along an axis, without that axis. */
function slice(tensor: Tensor, axis: number, index: number): Tensor {
  const shape = tensor.shape.filter((_, i) => i !== axis)
  const inner = elementCount(tensor.shape.slice(axis + 1))
  const size = tensor.shape[axis]
  const source = elementsOf(tensor)
  const result = allocateElements(tensor.dtype, elementCount(shape))
  for (let i = 0; i < result.length; i++)
    result[i] = source[(Math.floor(i / inner) * size + index) * inner + (i % inner)] as never
  return fromElements(tensor.dtype, shape, result)
}

/** Puts tensors of one shape beside each other along a new axis; of none, what the declared type says of an empty one. */
function stack(list: readonly Tensor[], axis: number, declared: Graph['outputs'][number]): Tensor {
  if (list.length === 0) {
    const row = (declared.type?.shape ?? []).map((size) => (typeof size === 'number' ? size : 0))
    return zeros(declared.type?.dtype ?? 'float32', [0, ...row])
  }
  const [{ dtype, shape: row }] = list
  const at = axisOf(axis, row.length + 1)
  const shape = [...row.slice(0, at), list.length, ...row.slice(at)]
  const inner = elementCount(row.slice(at))
  const result = allocateElements(dtype, elementCount(shape))
  list.forEach((tensor, step) => {
    const source = elementsOf(tensor)
    for (let i = 0; i < source.length; i++)
      result[(Math.floor(i / inner) * list.length + step) * inner + (i % inner)] = source[i] as never
  })
  return fromElements(dtype, shape, result)
}
