/** The layers of a model: what pruning, sharing, quantization and the report iterate over. */
import { elementCount, type Tensor } from '../tensor/tensor.ts'
import { graphIndex, nodeLabel, type GraphIndex } from './graph.ts'
import { intAttribute, intsAttribute, type Graph, type Model, type Node } from './model.ts'

/** A node that carries weights: a convolution, or a product with a constant matrix. */
export interface Layer {
  /** The node's name, or its output where it has none; unique among the layers. */
  readonly name: string
  /** Conv, ConvTranspose, Gemm or MatMul. */
  readonly node: Node
  /** Which input of the node the weight is. */
  readonly input: number
  /**
   * The initializer with one entry a weight: the weights themselves, or, behind DequantizeLinear and Gather, their codes and
   * indices.
   */
  readonly weight: string
  /** The nodes between the initializer and the layer, in the order in which they are computed; usually none. */
  readonly source: readonly Node[]
  /** The initializer with the bias, of Conv and Gemm or of the Add that follows a MatMul. */
  readonly bias?: string
  /** The axis of the initializer along which the outputs of the layer lie; undefined when a Reshape has mixed it. */
  readonly outAxis: number | undefined
  /** The axis of the initializer that is summed over (of one group); undefined when a Reshape has mixed it. */
  readonly inAxis: number | undefined
}

/** The weight-carrying layers of the main graph, in order. Two layers that share a weight both appear. */
export function layers(model: Model): Layer[] {
  const { graph } = model
  const index = graphIndex(graph)
  const fed = new Set(graph.inputs.map((info) => info.name))
  const find = (value: string): WeightSource | undefined => weightSource(value, graph, index, fed, 0)
  const names = new Set<string>()
  const result: Layer[] = []
  for (const node of graph.nodes) {
    const axes = layerAxes(node)
    for (const { input, out, summed } of axes) {
      const source = find(node.inputs[input] ?? '')
      if (!source || (source.shape && source.shape.length < 2)) continue
      let name = nodeLabel(node)
      for (let i = 1; names.has(name); i++) name = `${nodeLabel(node)}_${i}`
      names.add(name)
      result.push({
        name,
        node,
        input,
        weight: source.name,
        source: source.nodes,
        bias: biasOf(node, index, find),
        outAxis: originalAxis(out, source),
        inAxis: originalAxis(summed, source),
      })
      break
    }
  }
  return result
}

interface LayerAxes {
  readonly input: number
  /** Axes of that input; negative ones count from the end. */
  readonly out: number
  readonly summed: number
}

/** The inputs that may be the weight, best first. */
function layerAxes(node: Node): readonly LayerAxes[] {
  if (node.domain !== '') return []
  switch (node.op) {
    case 'Conv':
      return [{ input: 1, out: 0, summed: 1 }]
    case 'ConvTranspose':
      return [{ input: 1, out: 1, summed: 0 }]
    case 'MatMul':
      return [
        { input: 1, out: -1, summed: -2 },
        { input: 0, out: -2, summed: -1 },
      ]
    case 'Gemm': {
      const transA = intAttribute(node, 'transA', 0)
      const transB = intAttribute(node, 'transB', 0)
      return [
        { input: 1, out: transB ? 0 : 1, summed: transB ? 1 : 0 },
        { input: 0, out: transA ? 1 : 0, summed: transA ? 0 : 1 },
      ]
    }
    default:
      return []
  }
}

interface WeightSource {
  readonly name: string
  readonly nodes: readonly Node[]
  /** The shape that the last node gives; undefined when it cannot be told. */
  readonly shape: readonly number[] | undefined
  /** For each axis of that shape the axis of the initializer. */
  readonly axes: readonly (number | undefined)[] | undefined
}

const DEEPEST = 32

/** Follows a value back to the initializer that holds its elements; undefined when it depends on an input of the graph. */
function weightSource(
  value: string,
  graph: Graph,
  index: GraphIndex,
  fed: ReadonlySet<string>,
  depth: number,
): WeightSource | undefined {
  const tensor = graph.initializers.get(value)
  if (tensor)
    return fed.has(value)
      ? undefined
      : { name: value, nodes: [], shape: tensor.shape, axes: tensor.shape.map((_, axis) => axis) }
  const node = index.producer(value)
  if (!node || node.domain !== '' || depth > DEEPEST) return undefined
  const follow = (input: number) => weightSource(node.inputs[input] ?? '', graph, index, fed, depth + 1)
  const extend = (source: WeightSource | undefined, change: Partial<WeightSource> = {}) =>
    source && { ...source, nodes: [...source.nodes, node], ...change }
  switch (node.op) {
    case 'Cast':
    case 'Identity':
    case 'DequantizeLinear':
      return extend(follow(0))
    case 'Gather':
      return follow(0) && extend(follow(1))
    case 'Where':
      return extend(follow(1))
    case 'Mul':
    case 'Add':
    case 'Sub': {
      const [first, second] = [follow(0), follow(1)]
      if (!first || !second) return undefined
      return extend(elementCount(second.shape ?? []) > elementCount(first.shape ?? []) ? second : first)
    }
    case 'Transpose': {
      const source = follow(0)
      const order = intsAttribute(node, 'perm') ?? source?.shape?.map((_, axis) => axis).toReversed()
      if (!source?.shape || !source.axes || !order) return extend(source, { shape: undefined, axes: undefined })
      return extend(source, {
        shape: order.map((axis) => source.shape![axis]),
        axes: order.map((axis) => source.axes![axis]),
      })
    }
    case 'Reshape': {
      const source = follow(0)
      return source && extend(source, reshapedAxes(source, graph.initializers.get(node.inputs[1])))
    }
    default:
      return undefined
  }
}

function before(sizes: readonly number[], axis: number): number {
  return elementCount(sizes.slice(0, axis))
}

/** An axis stays the same through a Reshape when as many elements lie before it and as many along it. */
function reshapedAxes(source: WeightSource, target: Tensor | undefined): Pick<WeightSource, 'shape' | 'axes'> {
  if (!source.shape || !target) return { shape: undefined, axes: undefined }
  const count = elementCount(source.shape)
  const wanted = Array.from(target.data as BigInt64Array, (size, axis) =>
    size === 0n ? (source.shape![axis] ?? 1) : Number(size),
  )
  const known = wanted.reduce((product, size) => (size === -1 ? product : product * size), 1)
  const shape = wanted.map((size) => (size === -1 ? count / known : size))
  const axes = shape.map((size, axis) => {
    const same = source.shape!.findIndex(
      (other, i) => other === size && before(source.shape!, i) === before(shape, axis),
    )
    return same < 0 ? undefined : source.axes?.[same]
  })
  return { shape, axes }
}

function originalAxis(axis: number, source: WeightSource): number | undefined {
  return source.axes?.at(axis)
}

function biasOf(node: Node, index: GraphIndex, find: (value: string) => WeightSource | undefined): string | undefined {
  if (node.op !== 'MatMul') return node.inputs[2] ? find(node.inputs[2])?.name : undefined
  const readers = index.consumers(node.outputs[0])
  const [add] = readers
  if (readers.length !== 1 || add.op !== 'Add' || index.isOutput(node.outputs[0])) return undefined
  const bias = find(add.inputs[0] === node.outputs[0] ? add.inputs[1] : add.inputs[0])
  return bias?.shape && bias.shape.filter((size) => size > 1).length <= 1 ? bias.name : undefined
}
