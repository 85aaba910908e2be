/** The layers of a model in the form of Deep Compression's file, or why they have none. */
import { UnsupportedError } from '../../errors.ts'
import { graphIndex, nodeLabel, type GraphIndex } from '../../ir/graph.ts'
import { floatAttribute, subgraphs, type Graph, type Model, type Node } from '../../ir/model.ts'
import { layers, type Layer } from '../../ir/rewrite.ts'
import { dtypes } from '../../tensor/dtype.ts'
import { toFloat32 } from '../../tensor/half.ts'
import { elementCount, type Tensor } from '../../tensor/tensor.ts'
import { codeBits, isStored, type StoredLayer } from './layout.ts'

/**
 * The weight-carrying layers in the order of the graph.
 * @throws UnsupportedError that names what does not fit: a layer by its name, weights of too many values, weights that are no
 * layer's.
 */
export function storedLayers(model: Model): readonly StoredLayer[] {
  const { graph } = model
  const index = graphIndex(graph)
  const found = layers(model)
  if (found.length === 0) throw misfit(graph.name, 'the model has no layers with weights', 'Give another model.')
  const stored = found.map((layer) => storedLayer(layer, graph, index))
  checkOthers(graph, found)
  return stored
}

function storedLayer(layer: Layer, graph: Graph, index: GraphIndex): StoredLayer {
  const { name, node } = layer
  if (!isStored(name))
    throw misfit(
      name,
      'readers of the format look for conv, fc or ip in the names of layers, and this one has none of them',
      'Rename the node in the ONNX file, with conv where codes have 8 bits, and with fc or ip where they have 4.',
    )
  const scaled = node.op === 'Gemm' && (floatAttribute(node, 'alpha', 1) !== 1 || floatAttribute(node, 'beta', 1) !== 1)
  if (node.op === 'ConvTranspose' || scaled)
    throw misfit(name, `the format has no ${node.op} of this kind`, 'Only plain convolutions and products fit.')
  const coded = sharedValues(layer, graph)
  const { codes, codebook } = zeroFirst(name, coded, 2 ** codeBits(name))
  const { shape } = graph.initializers.get(layer.weight)!
  const ordered = outFirst(layer, codes, shape)
  return { name, codes: ordered, codebook, bias: biasOf(layer, shape[layer.outAxis ?? 0], graph, index) }
}

interface Shared {
  readonly codes: ArrayLike<number>
  readonly values: Float32Array
}

/** Codes and values of a weight that is a Gather from one codebook, or a plain tensor. */
function sharedValues({ name, weight, source, node, input }: Layer, graph: Graph): Shared {
  const tensor = graph.initializers.get(weight)!
  const [cast, gather] = source.filter(({ op }) => op !== 'Transpose' && op !== 'Identity')
  const book = gather?.op === 'Gather' && cast.op === 'Cast' ? graph.initializers.get(gather.inputs[0]) : undefined
  if (book && dtypes[tensor.dtype].kind === 'integer' && source.length <= 3) {
    if (book.shape.length === 1 && dtypes[tensor.dtype].bits <= 16 && dtypes[tensor.dtype].bits >= 8) {
      const codes = tensor.data as Uint8Array | Uint16Array
      if (codes.every((code) => code >= 0 && code < book.shape[0])) return { codes, values: toFloat32(book) }
    }
  }
  const { kind, bits } = dtypes[tensor.dtype]
  if (source.every(({ op }) => op === 'Identity' || op === 'Transpose') && kind === 'float' && bits <= 32)
    return distinctValues(tensor, name)
  throw misfit(
    name,
    `its weight, input ${input} of the node '${nodeLabel(node)}', is neither plain nor read from one codebook`,
    'Share its weights with k-means, granularity tensor, from the original model.',
  )
}

/** A codebook of the values that there are, zero first, then ascending. */
function distinctValues(tensor: Tensor, name: string): Shared {
  const weights = toFloat32(tensor)
  const limit = 2 ** codeBits(name)
  const seen = new Set<number>()
  for (const weight of weights) if (seen.add(weight).size > limit) throw tooMany(name, limit)
  const values = Float32Array.from(seen).sort()
  const codeOf = new Map(Array.from(values, (value, code) => [value, code]))
  return { codes: Uint8Array.from(weights, (weight) => codeOf.get(weight)!), values }
}

/** The same weights with a codebook of exactly `size` values that begins with zero; as it is where it is one already. */
function zeroFirst(
  name: string,
  { codes, values }: Shared,
  size: number,
): { codes: Uint8Array; codebook: Float32Array } {
  const bad = values.findIndex((value) => !Number.isFinite(value))
  if (bad >= 0) throw misfit(name, `one of its weights is ${values[bad]}`, 'Export the model again.')
  // Only what is used must fit; a codebook that fits as it is stays whole, with its order.
  const whole = values.length <= size && values[0] === 0
  const used = new Set<number>(whole ? values.keys() : [])
  if (!whole) for (let i = 0; i < codes.length; i++) used.add(codes[i])
  const kept = whole ? [...used] : [...used].filter((code) => values[code] !== 0).sort((a, b) => a - b)
  if (!whole && kept.length + 1 > size) throw tooMany(name, size)
  const position = new Uint8Array(values.length)
  const codebook = new Float32Array(size)
  for (const [at, code] of kept.entries()) {
    position[code] = whole ? at : at + 1
    codebook[position[code]] = values[code]
  }
  return { codes: Uint8Array.from(codes, (code) => position[code]), codebook }
}

function tooMany(name: string, size: number): UnsupportedError {
  return misfit(
    name,
    `its weights have more values than zero and ${size - 1} others, which codes of ${Math.log2(size)} bits tell apart`,
    `Prune it and share its weights with k-means, bits ${Math.log2(size)}, or without pruning bits ${Math.log2(size) - 1}.`,
  )
}

/** The codes as the file has them, `[out, ...]`. */
function outFirst({ name, source, outAxis }: Layer, codes: Uint8Array, shape: readonly number[]): Uint8Array {
  if (outAxis === 0 && (shape.length === 2 || source.every(({ op }) => op !== 'Transpose'))) return codes
  if (outAxis !== 1 || shape.length !== 2)
    throw misfit(name, 'its weight was reshaped, and the order in the file is not known', 'Export the model again.')
  const [rows, columns] = shape
  const result = new Uint8Array(codes.length)
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) result[column * rows + row] = codes[row * columns + column]
  return result
}

/** The bias, or zeros where there is none: the file has one for each layer. */
function biasOf({ name, node, bias }: Layer, outputs: number, graph: Graph, index: GraphIndex): Float32Array {
  const adding = node.op === 'MatMul' ? index.consumers(node.outputs[0])[0] : node
  if (bias === undefined && !(node.op !== 'MatMul' && node.inputs[2])) return new Float32Array(outputs)
  const tensor = bias === undefined ? undefined : graph.initializers.get(bias)
  if (tensor && dtypes[tensor.dtype].kind === 'float' && adding.inputs.includes(bias!)) {
    const values = toFloat32(tensor)
    if (values.length === outputs) return values
  }
  throw misfit(name, `its bias is not ${outputs} plain numbers`, 'Export the model again.')
}

/** Weights that belong to no layer would be lost. */
function checkOthers(graph: Graph, found: readonly Layer[]): void {
  const known = new Set(found.flatMap((layer) => [layer.weight, layer.bias, ...layer.source.flatMap((n) => n.inputs)]))
  const isWeight = (name: string) => {
    const tensor = graph.initializers.get(name)
    return (
      tensor !== undefined &&
      !known.has(name) &&
      dtypes[tensor.dtype].kind === 'float' &&
      elementCount(tensor.shape) > 1
    )
  }
  const lost = (node: Node) => node.inputs.find(isWeight)
  const node = graph.nodes.find((candidate) => lost(candidate) !== undefined || subgraphs(candidate).length > 0)
  if (!node) return
  const own = lost(node)
  throw misfit(
    nodeLabel(node),
    own
      ? `the format has no place for '${own}', which this ${node.op} reads`
      : 'the format has no place for sub-graphs',
    node.op === 'BatchNormalization'
      ? 'Fold it into the layer before it (the method fold-batch-norm) before weights are shared.'
      : 'Only convolutions and fully connected layers fit.',
  )
}

function misfit(place: string, problem: string, hint: string): UnsupportedError {
  return new UnsupportedError('deep-compression-layer', problem, { place, hint })
}
