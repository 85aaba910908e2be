/** Models in half precision as models in single precision, for work that halves are too coarse for. */
import { fromFloat32, toFloat32 } from '../tensor/half.ts'
import type { DType } from '../tensor/dtype.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { elementType } from './element-type.ts'
import { mapSubgraphs, mapUnchanged } from './graph.ts'
import type { Attribute, Graph, Model, Node, ValueInfo } from './model.ts'

const halves: ReadonlySet<DType> = new Set<DType>(['float16', 'bfloat16'])

/**
 * The same model with float32 wherever it has float16 or bfloat16: initializers, constants, casts, inputs, outputs,
 * sub-graphs and local functions. Every half-precision number is a float32, so no weight changes; results differ by the
 * rounding that no longer takes place. A model without halves comes back as it is.
 */
export function toFloat32Model(model: Model): Model {
  const graph = widenGraph(model.graph)
  const functions = mapUnchanged(model.functions, (one) => {
    const nodes = mapUnchanged(one.nodes, widenNode)
    return nodes === one.nodes ? one : { ...one, nodes }
  })
  return graph === model.graph && functions === model.functions ? model : { ...model, graph, functions }
}

/** The graph of `original` with the initializers of `changed`, in the element types that `original` has. */
export function withNarrowedInitializers(original: Model, changed: ReadonlyMap<string, Tensor>): Model {
  const initializers = new Map(
    [...original.graph.initializers].map(([name, old]) => {
      const tensor = changed.get(name) ?? old
      const fits = tensor.dtype === old.dtype
      return [name, fits ? tensor : fromFloat32(old.dtype, tensor.shape, toFloat32(tensor))] as const
    }),
  )
  return { ...original, graph: { ...original.graph, initializers } }
}

function widenGraph(graph: Graph): Graph {
  const nodes = mapUnchanged(graph.nodes, widenNode)
  const inputs = mapUnchanged(graph.inputs, widenInfo)
  const outputs = mapUnchanged(graph.outputs, widenInfo)
  const values = mapUnchanged(graph.values, widenInfo)
  const hasHalves = [...graph.initializers.values()].some(({ dtype }) => halves.has(dtype))
  const initializers = hasHalves
    ? new Map([...graph.initializers].map(([name, tensor]) => [name, widenTensor(tensor)]))
    : graph.initializers
  const same =
    nodes === graph.nodes &&
    inputs === graph.inputs &&
    outputs === graph.outputs &&
    values === graph.values &&
    !hasHalves
  return same ? graph : { ...graph, nodes, inputs, outputs, values, initializers }
}

function widenNode(node: Node): Node {
  const inner = mapSubgraphs(node, widenGraph)
  let changed = false
  const attributes = Object.entries(inner.attributes).map(([name, attribute]): [string, Attribute] => {
    const wide = widenAttribute(name, attribute)
    changed ||= wide !== attribute
    return [name, wide]
  })
  return changed ? { ...inner, attributes: Object.fromEntries(attributes) } : inner
}

/** Element types stand in the attributes `to` (Cast) and `dtype` (random numbers, EyeLike). */
function widenAttribute(name: string, attribute: Attribute): Attribute {
  if (attribute.kind === 'tensor' && halves.has(attribute.value.dtype))
    return { ...attribute, value: widenTensor(attribute.value) }
  if (attribute.kind !== 'int' || (name !== 'to' && name !== 'dtype')) return attribute
  const isHalf = [...halves].some((dtype) => elementType(dtype) === Number(attribute.value))
  return isHalf ? { ...attribute, value: elementType('float32') } : attribute
}

function widenTensor(tensor: Tensor): Tensor {
  return halves.has(tensor.dtype) ? fromFloat32('float32', tensor.shape, toFloat32(tensor)) : tensor
}

function widenInfo(info: ValueInfo): ValueInfo {
  return info.type && halves.has(info.type.dtype) ? { ...info, type: { ...info.type, dtype: 'float32' } } : info
}
