import { foldConstants } from '../ir/fold.ts'
import { graphIndex, type GraphIndex } from '../ir/graph.ts'
import { constantNode, isRandom } from '../ir/infer.ts'
import { operatorKey, subgraphs, type Graph, type Model, type Node } from '../ir/model.ts'
import { operators } from '../ir/ops/index.ts'
import { layers, type Layer } from '../ir/rewrite.ts'
import { inferShapes } from '../ir/shapes.ts'
import { dtypes } from '../tensor/dtype.ts'
import { toFloat32 } from '../tensor/half.ts'
import { byteLength, elementCount, type Tensor } from '../tensor/tensor.ts'

/** A layer of a model whose weights were computed, whatever form they are stored in. */
export interface DenseLayer {
  readonly layer: Layer
  /** Row-major, in the layout that the layer reads. */
  readonly values: Float32Array
  readonly shape: readonly number[]
  readonly bytes: number
}

/** The layers of a model as they are when all weights are plain numbers. */
export interface DenseLayers extends Iterable<DenseLayer> {
  /**
   * In the order of execution, without computing anything. `weight` is the value that the layer reads; what lies between
   * it and an initializer is not part of the layer any more.
   */
  readonly layers: readonly Layer[]
  /** How many weights a layer has. */
  count(layer: Layer): number
  /** Computes the weights of one layer; undefined where they are not constant or no floats. */
  read(layer: Layer): DenseLayer | undefined
}

/**
 * The layers with their weights as plain numbers. Weights that are stored as codes are computed when they are asked for
 * and not kept: all of them at once may take several times the memory of the model.
 */
export function denseLayers(model: Model): DenseLayers {
  const folded = foldConstants(model)
  const outline = outlineOf(folded)
  const all = layers(outline).filter(({ weight }) => {
    const tensor = outline.graph.initializers.get(weight)
    return tensor !== undefined && dtypes[tensor.dtype].kind === 'float'
  })
  const read = (layer: Layer): DenseLayer | undefined => {
    const tensor = computed(folded, layer.weight)
    if (!tensor || dtypes[tensor.dtype].kind !== 'float') return undefined
    return { layer, values: toFloat32(tensor), shape: tensor.shape, bytes: byteLength(tensor) }
  }
  return {
    layers: all,
    count: ({ weight }) => elementCount(outline.graph.initializers.get(weight)!.shape),
    read,
    *[Symbol.iterator]() {
      for (const layer of all) {
        const dense = read(layer)
        if (dense) yield dense
      }
    },
  }
}

/** The model with an initializer of the right type and shape, but without content, in the place of each computed constant. */
function outlineOf(model: Model): Model {
  const { graph } = model
  const types = inferShapes(model)
  const initializers = new Map(graph.initializers)
  const fed = new Set(graph.inputs.map(({ name }) => name))
  const constant = (name: string) => name === '' || (initializers.has(name) && !fed.has(name))
  const nodes = graph.nodes.filter((node) => {
    if (!isComputable(node) || !node.inputs.every(constant)) return true
    const outputs = node.outputs.map((name) => ({ name, type: types.get(name) }))
    if (!outputs.every(({ type }) => type?.shape?.every((size) => typeof size === 'number'))) return true
    for (const { name, type } of outputs)
      initializers.set(name, { dtype: type!.dtype, shape: type!.shape as number[], data: new Float32Array(0) })
    return false
  })
  return { ...model, graph: { ...graph, nodes, initializers } }
}

function isComputable(node: Node): boolean {
  if (constantNode(node)) return true
  return (
    operators.get(operatorKey(node))?.evaluate !== undefined &&
    node.inputs.length > 0 &&
    !isRandom(node) &&
    subgraphs(node).length === 0
  )
}

/** A Gather that reads its codes as they are stored: `Cast` only makes of them what engines take, four times as large. */
function readingCodes(node: Node, index: GraphIndex, { initializers }: Graph): Node {
  const cast = node.op === 'Gather' ? index.producer(node.inputs[1]) : undefined
  if (cast?.op !== 'Cast' || dtypes[initializers.get(cast.inputs[0])?.dtype ?? 'string'].kind !== 'integer') return node
  return { ...node, inputs: [node.inputs[0], cast.inputs[0]] }
}

/** The tensor of a value that depends on constants only; undefined where it cannot be computed. */
function computed(model: Model, value: string): Tensor | undefined {
  const { graph } = model
  const known = graph.initializers.get(value)
  if (known) return known
  const index = graphIndex(graph)
  const needed = new Set<Node>()
  const collect = (name: string) => {
    const node = index.producer(name)
    if (!node || needed.has(node)) return
    needed.add(node)
    for (const input of node.inputs) collect(input)
  }
  collect(value)
  // A graph output is never folded away: a copy takes its part.
  const output = `${value}:copy`
  const copy: Node = { name: '', op: 'Identity', domain: '', inputs: [value], outputs: [output], attributes: {} }
  const alone: Model = {
    ...model,
    graph: {
      ...graph,
      nodes: [...graph.nodes.filter((node) => needed.has(node)).map((node) => readingCodes(node, index, graph)), copy],
      inputs: [],
      outputs: [{ name: output }],
      values: [],
    },
  }
  return foldConstants(alone, { all: true }).graph.initializers.get(value)
}
