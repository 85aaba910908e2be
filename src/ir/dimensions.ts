/** Symbolic sizes made numbers, and models made for another batch size. */
import { UsageError } from '../errors.ts'
import { int64, type Tensor } from '../tensor/tensor.ts'
import { createDraft } from './draft.ts'
import { inferShapes, type TypeTable } from './infer.ts'
import type { Model, ValueInfo } from './model.ts'

/**
 * Gives symbolic sizes numbers, wherever inputs, outputs and inner values name them. A size that an input leaves open
 * without a name (null) on its first axis is bound by 'batch', if nothing else bears that name.
 * @param sizes positive sizes by symbol.
 * @throws UsageError when a size is no whole number from 1.
 */
export function bindDimensions(model: Model, sizes: Readonly<Record<string, number>>): Model {
  for (const [name, size] of Object.entries(sizes)) checkSize(name, size)
  const bind = (info: ValueInfo, isInput: boolean): ValueInfo => {
    if (!info.type?.shape) return info
    const shape = info.type.shape.map((dim, axis) => {
      if (typeof dim === 'string') return Object.hasOwn(sizes, dim) ? sizes[dim] : dim
      return dim === null && isInput && axis === 0 ? (sizes['batch'] ?? null) : dim
    })
    return { ...info, type: { ...info.type, shape } }
  }
  const { graph } = model
  return {
    ...model,
    graph: {
      ...graph,
      inputs: graph.inputs.map((info) => bind(info, true)),
      outputs: graph.outputs.map((info) => bind(info, false)),
      values: graph.values.map((info) => bind(info, false)),
    },
  }
}

/** Gives every size that the model leaves open the value 1: what is said of one example. */
export function withoutOpenSizes(model: Model): Model {
  const names = new Set<string>()
  for (const { type } of [...model.graph.inputs, ...model.graph.outputs, ...model.graph.values])
    for (const size of type?.shape ?? []) if (typeof size === 'string') names.add(size)
  const bound = bindDimensions(model, Object.fromEntries([...names].map((name) => [name, 1])))
  const inputs = bound.graph.inputs.map((info) =>
    info.type?.shape ? { ...info, type: { ...info.type, shape: info.type.shape.map((size) => size ?? 1) } } : info,
  )
  return { ...bound, graph: { ...bound.graph, inputs } }
}

function checkSize(name: string, size: number): void {
  if (!Number.isInteger(size) || size < 1)
    throw new UsageError('dimension-size', `the size ${size} of '${name}' is not a whole number from 1`)
}

/**
 * The model for `batch` samples at a time: the first axis of every input that the initializers do not give becomes
 * `batch`, the outputs follow, and a Reshape that has the old batch size written into its target copies it from its input
 * instead.
 * @throws UsageError when `batch` is no whole number from 1.
 */
export function rebatch(model: Model, batch: number): Model {
  checkSize('batch', batch)
  const { graph } = model
  const isData = (info: ValueInfo) => !graph.initializers.has(info.name) && (info.type?.shape?.length ?? 0) > 0
  const data = graph.inputs.filter(isData)
  const old = data[0]?.type?.shape?.[0]
  if (old === batch || data.length === 0) return model
  const names = new Set(data.map((info) => info.type!.shape![0]).filter((dim) => typeof dim === 'string'))
  const bound = bindDimensions(model, Object.fromEntries([...names].map((name) => [name, batch])))
  const before = inferShapes(model)
  const draft = createDraft(typeof old === 'number' ? freeReshapes(bound, before, old) : bound)
  draft.inputs.forEach((info, index) => {
    if (!isData(info)) return
    const shape = [batch, ...info.type!.shape!.slice(1)]
    draft.inputs[index] = { ...info, type: { ...info.type!, shape } }
  })
  draft.outputs.forEach((info, index) => {
    draft.outputs[index] = { ...info, type: info.type && { dtype: info.type.dtype } }
  })
  const changed = draft.finish({ keepUnused: true })
  const after = inferShapes(changed)
  const outputs = changed.graph.outputs.map((info) => ({ ...info, type: after.get(info.name) ?? info.type }))
  return { ...changed, graph: { ...changed.graph, outputs } }
}

/** Replaces the batch size written into the targets of Reshape nodes by 0, which copies it, where the input has it too. */
function freeReshapes(model: Model, types: TypeTable, old: number): Model {
  const draft = createDraft(model)
  const targets = new Map<Tensor, string>()
  draft.nodes.forEach((node, index) => {
    if (node.op !== 'Reshape' || node.domain !== '') return
    const target = types.constant(node.inputs[1])
    const input = types.get(node.inputs[0])?.shape
    const sizes = target && Array.from(target.data as BigInt64Array, Number)
    if (!target || sizes![0] !== old || input?.[0] !== old || node.attributes['allowzero']) return
    const name = targets.get(target) ?? draft.constant(`${node.inputs[1]}_any_batch`, int64([0, ...sizes!.slice(1)]))
    targets.set(target, name)
    draft.nodes[index] = { ...node, inputs: [node.inputs[0], name] }
  })
  return draft.finish({ keepUnused: true })
}
