/**
 * A normalization behind a layer goes into the layer's weights, the scales of their codes or their codebooks, and its
 * bias.
 */
import type { ConstantValues } from '../../../ir/constant-values.ts'
import type { Draft } from '../../../ir/draft.ts'
import type { GraphIndex } from '../../../ir/graph.ts'
import { floatAttribute, intAttribute, type Model, type Node } from '../../../ir/model.ts'
import type { Layer } from '../../../ir/rewrite.ts'
import type { TypeTable } from '../../../ir/shapes.ts'
import { dtypes, type DType } from '../../../tensor/dtype.ts'
import { fromNumbers, toNumbers } from '../../../tensor/elements.ts'
import { fromFloat32, toFloat32 } from '../../../tensor/half.ts'
import { createTensor, type Tensor } from '../../../tensor/tensor.ts'
import { biasStep } from '../../quantization/integer-codes.ts'
import type { ChannelAffine } from './affine.ts'
import { scaledBook, scaledCodes, scaledFloats, type Scaled } from './scaled-weights.ts'

export interface Folding {
  readonly model: Model
  readonly draft: Draft
  /** Of the model's graph, as it was. */
  readonly index: GraphIndex
  readonly constant: ConstantValues
  readonly types: TypeTable
  /** Significant bits of the scales of codes, and bits of the bias of such a layer; beyond 16 a bias is a float. */
  readonly bits: number
}

/** From so many bits on a bias is stored as it is. */
const FLOAT_BIAS = 17

/** The layer in front of a normalization, through the Add that carries the bias of a MatMul. */
export function layerBefore(norm: Node, layers: readonly Layer[], index: GraphIndex): Layer | undefined {
  const node = index.producer(norm.inputs[0])
  const product = node?.op === 'Add' ? node.inputs.map(index.producer).find((one) => one?.op === 'MatMul') : undefined
  return layers.find((layer) => layer.node === node || (product && layer.node === product && layer.bias !== undefined))
}

/**
 * Rewrites the draft so that the layer computes what the normalization made.
 * @returns the reason where it cannot; then nothing was changed.
 */
export function foldIntoLayer(norm: Node, affine: ChannelAffine, layer: Layer, folding: Folding): string | undefined {
  const { draft, index, bits } = folding
  const before = biasBefore(norm, layer, affine.factor.length, folding)
  const reason = obstacle(norm, layer, folding) ?? (typeof before === 'string' ? before : undefined)
  if (reason !== undefined) return reason
  const scaled = scaledWeight(layer, affine.factor, folding)
  if (typeof scaled === 'string') return scaled
  const had = before as Float32Array
  const bias = affine.factor.map((a, c) => a * (had[c] - affine.mean[c]) + affine.shift[c])
  const stored = toFloat32(fromNumbers(scaled.dtype, [bias.length], bias))
  if (!stored.every(Number.isFinite)) return `its bias would be too large for ${scaled.dtype}`
  scaled.write(draft)
  const name = biasInput(draft, layer, bias, scaled.dtype, scaled.coded ? bits : FLOAT_BIAS)
  const position = draft.nodes.findIndex(({ outputs }) => outputs[0] === layer.node.outputs[0])
  const node = draft.nodes[position]
  const [x, w] = node.inputs
  // A product of matrices with a bias is a Gemm.
  draft.nodes[position] = {
    ...node,
    op: node.op === 'MatMul' ? 'Gemm' : node.op,
    inputs: [x, w, name],
    outputs: [norm.outputs[0]],
  }
  const gone = new Set([norm.outputs[0], ...(index.producer(norm.inputs[0]) === layer.node ? [] : [norm.inputs[0]])])
  const kept = draft.nodes.filter((one, i) => i === position || !gone.has(one.outputs[0]))
  draft.nodes.splice(0, draft.nodes.length, ...kept)
  return undefined
}

/** Why the layer cannot take a normalization in, whatever its factors; undefined where it can. */
function obstacle(norm: Node, { node, weight, source, outAxis, input }: Layer, folding: Folding): string | undefined {
  const { index, types } = folding
  if (!['Conv', 'Gemm', 'ConvTranspose', 'MatMul'].includes(node.op)) return `it follows a ${node.op}`
  if (input !== 1) return 'its layer has the weights in front'
  if (node.op === 'MatMul' && [node.inputs[0], norm.inputs[0]].some((value) => types.get(value)?.shape?.length !== 2))
    return 'it follows a MatMul of more than rows'
  if (node.op === 'ConvTranspose' && intAttribute(node, 'group', 1) !== 1) return 'it follows a grouped ConvTranspose'
  if (node.op === 'Gemm' && (floatAttribute(node, 'alpha', 1) !== 1 || floatAttribute(node, 'beta', 1) !== 1))
    return 'its layer multiplies by alpha or beta'
  const made = [node.outputs[0], norm.inputs[0]]
  if (made.some((value) => index.consumers(value).length !== 1 || index.isOutput(value)))
    return 'other nodes read what the layer makes'
  if (outAxis === undefined) return 'a Reshape mixes the output channels of its weights'
  if ([weight, ...source.map(({ outputs }) => outputs[0])].some((value) => index.consumers(value).length !== 1))
    return 'other nodes read its weights'
  return undefined
}

/** The bias that the layer has, one number a channel; or why it cannot be told. */
function biasBefore(
  norm: Node,
  { node, bias }: Layer,
  channels: number,
  { index, constant }: Folding,
): Float32Array | string {
  const add = index.producer(norm.inputs[0])
  const name =
    node.op === 'MatMul' && add !== node ? add!.inputs.find((value) => value !== node.outputs[0]) : node.inputs[2]
  if (!name) return bias === undefined ? new Float32Array(channels) : 'its bias is added elsewhere'
  return biasRow(name, channels, constant) ?? 'its bias is no constant of one number a channel'
}

/** A constant that is added to rows of outputs, one number a channel; undefined where it is no such thing. */
export function biasRow(name: string, channels: number, constant: ConstantValues): Float32Array | undefined {
  const tensor = constant(name)
  const fits =
    tensor &&
    dtypes[tensor.dtype].kind === 'float' &&
    tensor.shape.every((size, axis) => size === 1 || axis === tensor.shape.length - 1)
  const values = fits ? toFloat32(tensor) : undefined
  if (!values || (values.length !== 1 && values.length !== channels)) return undefined
  return Float32Array.from({ length: channels }, (_, c) => values[values.length === 1 ? 0 : c])
}

/** The weight times its factors in the form that it has. */
function scaledWeight(layer: Layer, factor: Float64Array, { draft, index, constant, bits }: Folding): Scaled | string {
  const steps = layer.source.filter(({ op }) => !['Identity', 'Reshape', 'Transpose'].includes(op))
  const tensor = draft.initializers.get(layer.weight)!
  if (tensor.shape[layer.outAxis!] !== factor.length) return 'its channels are not those of the weights'
  if (steps.length === 0)
    return dtypes[tensor.dtype].kind === 'float' ? scaledFloats(layer, tensor, factor) : 'its weights are no floats'
  const [first] = steps
  if (steps.length === 1 && first.op === 'DequantizeLinear')
    return scaledCodes({ layer, step: first, factor, bits, draft, index, constant })
  if (steps.at(-1)!.op === 'Gather') return scaledBook({ layer, steps, factor, draft, index })
  return 'its weights are neither floats nor codes'
}

/** The bias as a constant, or as codes of `bits` bits, whose step is a power of two. */
function biasInput(draft: Draft, { node, weight }: Layer, bias: Float64Array, type: DType, bits: number): string {
  const name = node.inputs[2] || weight.replace(/(\.weight)?(\.codes|\.indices)?$/, '.bias')
  if (bits >= FLOAT_BIAS) return draft.constant(name, fromNumbers(type, [bias.length], bias))
  const step = biasStep(bias, bits)
  const stored = fromFloat32(type, [], Float32Array.of(step))
  if (toNumbers(stored)[0] !== step) return draft.constant(name, fromNumbers(type, [bias.length], bias))
  const values = Array.from(bias, (value) => Math.round(value / step))
  const codes: Tensor =
    bits <= 8
      ? createTensor('int8', [bias.length], Int8Array.from(values))
      : createTensor('int16', [bias.length], Int16Array.from(values))
  const inputs = [draft.constant(`${name}.codes`, codes), draft.constant(`${name}.scale`, stored)]
  return draft.add('DequantizeLinear', inputs, {}, { name: `${name}.dequantized` })
}
