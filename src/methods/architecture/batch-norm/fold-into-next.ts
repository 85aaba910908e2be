/**
 * A normalization in front of a product goes into its weights and its bias, also through what pools the places of a
 * channel or lays them side by side: each input of the product is multiplied by the factor of its channel, and what is
 * added to the inputs adds the same to every output.
 */
import { floatAttribute, intAttribute, intsAttribute, type Node } from '../../../ir/model.ts'
import type { Layer } from '../../../ir/rewrite.ts'
import { fromNumbers, toNumbers } from '../../../tensor/elements.ts'
import { toFloat32 } from '../../../tensor/half.ts'
import type { ChannelAffine } from './affine.ts'
import { biasRow, type Folding } from './fold-into-layer.ts'
import { isPlainMaxPool, movingNodes } from './fold-into-thresholds.ts'
import { scaledFloats } from './scaled-weights.ts'

/** A product behind a normalization, and the nodes between both. */
export interface NextLayer {
  readonly layer: Layer
  readonly between: readonly Node[]
}

const averages: ReadonlySet<string> = new Set(['AveragePool', 'GlobalAveragePool'])
/** With them only rising functions commute. */
const maxima: ReadonlySet<string> = new Set(['MaxPool', 'GlobalMaxPool'])

/** The Gemm or MatMul that alone reads what the normalization makes, perhaps pooled and flattened. */
export function layerBehind(norm: Node, layers: readonly Layer[], { index }: Folding): NextLayer | undefined {
  const between: Node[] = []
  for (let [value] = norm.outputs; ; [value] = between.at(-1)!.outputs) {
    const [reader, ...others] = index.consumers(value)
    if (!reader || others.length > 0 || index.isOutput(value) || reader.domain !== '') return undefined
    if (reader.inputs[0] !== value) return undefined
    const layer = layers.find(({ node }) => node === reader)
    if (layer) return reader.op === 'Gemm' || reader.op === 'MatMul' ? { layer, between } : undefined
    if (![averages, maxima, movingNodes].some((set) => set.has(reader.op))) return undefined
    between.push(reader)
  }
}

/**
 * Rewrites the draft so that the product reads what the normalization read: with a = γ / √(σ² + ε) and s = β - a μ,
 * W (a ∘ x + s) + b is W' x + b' with W' = W diag(a) and b' = b + W s.
 * @returns the reason where it cannot; then nothing was changed.
 */
export function foldIntoNext(
  norm: Node,
  affine: ChannelAffine,
  next: NextLayer,
  { draft, index, constant, types }: Folding,
): string | undefined {
  const { factor, mean, shift } = affine
  const { layer, between } = next
  const reason = obstacle(next, factor, { index, types })
  if (reason !== undefined) return reason
  const tensor = draft.initializers.get(layer.weight)!
  const [inputs, outputs] = [layer.inAxis!, layer.outAxis!].map((axis) => tensor.shape[axis])
  const channels = Array.from({ length: inputs }, (_, input) => Math.floor((input * factor.length) / inputs))
  const factors = Float64Array.from(channels, (c) => factor[c])
  const scaled = scaledFloats(layer, tensor, factors, layer.inAxis)
  if (typeof scaled === 'string') return scaled
  const [, , added = ''] = layer.node.inputs
  const before = added === '' ? new Float32Array(outputs) : biasRow(added, outputs, constant)
  if (!before) return 'the bias behind it is no constant of one number a channel'
  const bias = Float64Array.from(before)
  for (const [at, weight] of toNumbers(tensor).entries()) {
    const place = [Math.floor(at / tensor.shape[1]), at % tensor.shape[1]]
    const c = channels[place[layer.inAxis!]]
    bias[place[layer.outAxis!]] += weight * (shift[c] - factor[c] * mean[c])
  }
  const stored = fromNumbers(scaled.dtype, [outputs], bias)
  if (!toFloat32(stored).every(Number.isFinite)) return `its bias would be too large for ${scaled.dtype}`
  scaled.write(draft)
  // What is between has other numbers now, and other names.
  let [value] = norm.inputs
  const renamed = between.map((node): Node => {
    const inputs = [value, ...node.inputs.slice(1)]
    value = draft.fresh(node.outputs[0])
    return { ...node, inputs, outputs: [value] }
  })
  const name = draft.constant(added || layer.weight.replace(/(\.weight)?$/, '.bias'), stored)
  const gone = new Set<Node>([norm, layer.node, ...between])
  const kept = draft.nodes.filter((node) => !gone.has(node))
  // A product of matrices with a bias is a Gemm.
  const product: Node = { ...layer.node, op: 'Gemm', inputs: [value, layer.node.inputs[1], name] }
  draft.nodes.splice(0, draft.nodes.length, ...kept, ...renamed, product)
  return undefined
}

/** Why the product behind cannot take a normalization with these factors in; undefined where it can. */
function obstacle(
  { layer, between }: NextLayer,
  factor: Float64Array,
  { index, types }: Pick<Folding, 'index' | 'types'>,
): string | undefined {
  const { node, weight, source, input, inAxis, outAxis } = layer
  const shapeOf = (value: string) => types.get(value)?.shape
  const [read, weights] = node.inputs.map(shapeOf)
  if (input !== 1 || read?.length !== 2 || weights?.length !== 2) return 'the product behind it is not one of rows'
  if (node.op === 'Gemm' && intAttribute(node, 'transA', 0) !== 0) return 'the product behind it is not one of rows'
  if (node.op === 'Gemm' && (floatAttribute(node, 'alpha', 1) !== 1 || floatAttribute(node, 'beta', 1) !== 1))
    return 'the product behind it multiplies by alpha or beta'
  if (inAxis === undefined || outAxis === undefined || source.some(({ op }) => !['Identity', 'Transpose'].includes(op)))
    return 'the weights behind it are no plain floats'
  if ([weight, ...source.map(({ outputs }) => outputs[0])].some((value) => index.consumers(value).length !== 1))
    return 'other nodes read the weights behind it'
  for (const one of between) {
    const [before, after] = [one.inputs[0], one.outputs[0]].map((value) => shapeOf(value)?.slice(1))
    const sizes = [before, after].map((shape) => shape?.reduce<number>((product, size) => product * Number(size), 1))
    // A move leaves the numbers of an example in their order; a pool takes those of a channel together.
    const isKept = movingNodes.has(one.op) ? sizes[0] === sizes[1] : before?.[0] === factor.length
    if (!isKept || !Number.isInteger(sizes[0])) return 'it is not known which inputs behind it are of which channel'
    if (maxima.has(one.op) && factor.some((a) => a < 0))
      return 'a factor is negative, and maxima are taken before the product'
    if (one.op === 'MaxPool' && !isPlainMaxPool(one)) return 'maxima are taken of padding alone, or tell their places'
    if (averagesPadding(one)) return 'averages count zeros around it'
  }
  return undefined
}

/** Whether an average counts the zeros of the padding, which no normalization has moved. */
function averagesPadding(node: Node): boolean {
  if (node.op !== 'AveragePool' || intAttribute(node, 'count_include_pad', 0) === 0) return false
  const pads = intsAttribute(node, 'pads') ?? []
  return (
    pads.some((pad) => pad !== 0) || node.attributes.auto_pad !== undefined || intAttribute(node, 'ceil_mode', 0) !== 0
  )
}
