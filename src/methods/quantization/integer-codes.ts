import { createDraft, type Draft } from '../../ir/draft.ts'
import { scaleIndices, type Granularity } from '../../ir/families/quantization.ts'
import { graphIndex, type GraphIndex } from '../../ir/graph.ts'
import { intAttribute, type Model } from '../../ir/model.ts'
import type { Layer } from '../../ir/rewrite.ts'
import { dtypes, type DType } from '../../tensor/dtype.ts'
import { fromNumbers, toNumbers } from '../../tensor/elements.ts'
import { fromFloat32, toFloat32 } from '../../tensor/half.ts'
import { largestMagnitude } from '../../tensor/magnitudes.ts'
import { elementCount } from '../../tensor/tensor.ts'
import { ownBiases } from '../layer-biases.ts'
import { finiteWeights } from '../weights.ts'

/** Codes of a weight or a bias, in the order of its initializer: a code q stands for (q - zero point) · scale. */
export interface IntegerCodes {
  /**
   * Stored as int8 where all of them fit, otherwise as int16; with a zero point as uint8 or uint16. Of a MatMul, and of a
   * Gemm that does not transpose its weight, they take 16 bits in any case: with fewer onnxruntime makes the two one
   * integer product, for which it rounds the layer's inputs to 8 bits.
   */
  readonly codes: Int8Array | Int16Array
  /** One entry, one for each index of `axis`, or one a block. Stored in the initializer's own type: see `storedScale`. */
  readonly scale: Float32Array
  /** One a scale, of the codes' range; absent where all are 0. */
  readonly zeroPoint?: Int16Array
  /** Axis of the initializer; needed where `scale` has more than one entry. */
  readonly axis?: number
  /**
   * Scales are for so many consecutive indices of `axis`, and for one index of every other axis: they have the shape of the
   * initializer but for `axis`, which counts blocks.
   */
  readonly blockSize?: number
  /** Whether codes of four bits are packed two a byte, as int4 or uint4. */
  readonly packed?: boolean
}

export interface CodedWeight extends IntegerCodes {
  readonly layer: Layer
}

export interface CodedBias extends IntegerCodes {
  /** The initializer, one that `ownBiases` gives. */
  readonly bias: string
}

/**
 * The model whose weights are `DequantizeLinear(codes, scale)`: standard ONNX, which every runtime knows. The new
 * initializers are called `<weight>.codes` and `<weight>.scale`.
 */
export function withIntegerCodes(model: Model, items: readonly CodedWeight[]): Model {
  return withCodes(
    model,
    items.map((item) => ({ ...item, name: item.layer.weight })),
  )
}

/** The same for biases. */
export function withIntegerBias(model: Model, items: readonly CodedBias[]): Model {
  return withCodes(
    model,
    items.map((item) => ({ ...item, name: item.bias })),
  )
}

/** Scales as they will be stored: codes are to be chosen for these. Smaller ones than the type has come out as 0. */
export function storedScale(dtype: DType, scale: Float32Array): Float32Array {
  return toFloat32(fromFloat32(scaleType(dtype), [scale.length], scale))
}

/** DequantizeLinear gives the scale's type, which engines have as float32 and float16 only. */
function scaleType(dtype: DType): 'float32' | 'float16' {
  return dtype === 'float16' ? 'float16' : 'float32'
}

/** The smallest power of two of which codes of `bits` bits reach all values. */
export function biasStep(values: Float32Array | Float64Array, bits: number): number {
  const largest = largestMagnitude(values)
  return largest === 0 ? 1 : 2 ** Math.ceil(Math.log2(largest / (2 ** (bits - 1) - 1)))
}

/** What the codes of the model's own biases are, of those that `among` has: multiples of a power of two. */
export function biasCodes(model: Model, bits: number, among?: ReadonlySet<string>): CodedBias[] {
  return [...ownBiases(model)].flatMap(([bias, tensor]) => {
    if (among && !among.has(bias)) return []
    const values = finiteWeights(bias, tensor)
    const scale = storedScale(tensor.dtype, Float32Array.of(biasStep(values, bits)))
    const codes = Int16Array.from(values, (value) => Math.round(value / scale[0]))
    const largest = storedScale(tensor.dtype, Float32Array.of(largestMagnitude(Float64Array.from(codes)) * scale[0]))[0]
    return scale[0] > 0 && Number.isFinite(largest) ? [{ bias, codes, scale }] : []
  })
}

function withCodes(model: Model, items: readonly (IntegerCodes & { readonly name: string })[]): Model {
  if (items.length === 0) return model
  const draft = createDraft(model)
  const index = graphIndex(model.graph)
  for (const item of items) {
    const { dtype, shape } = model.graph.initializers.get(item.name)!
    draft.redirect(item.name, dequantized(draft, item, { dtype, shape, wide: becomesIntegerProduct(item.name, index) }))
  }
  return draft.finish()
}

/** Whether onnxruntime would make DequantizeLinear and a reader of the value, perhaps behind others, one operator. */
function becomesIntegerProduct(value: string, index: GraphIndex, asItIs = true): boolean {
  return index.consumers(value).some((node) => {
    if (node.op === 'MatMul') return true
    const suits = asItIs && intAttribute(node, 'transB', 0) === 1
    if (node.op === 'Gemm') return node.inputs[0] === value || (node.inputs[1] === value && !suits)
    if (!['Transpose', 'Reshape', 'Cast', 'Identity'].includes(node.op)) return false
    return becomesIntegerProduct(node.outputs[0], index, asItIs && node.op !== 'Transpose' && node.op !== 'Reshape')
  })
}

function dequantized(
  draft: Draft,
  item: IntegerCodes & { readonly name: string },
  { dtype, shape, wide }: { readonly dtype: DType; readonly shape: readonly number[]; readonly wide: boolean },
): string {
  const { name, codes, scale, zeroPoint, axis, blockSize } = item
  const type = codeType(item, wide)
  const scaleShape = shapeOfScales(item, shape)
  const inputs = [
    draft.constant(`${name}.codes`, fromNumbers(type, shape, codes)),
    draft.constant(`${name}.scale`, fromFloat32(scaleType(dtype), scaleShape, scale)),
    ...(zeroPoint ? [draft.constant(`${name}.zero_point`, fromNumbers(type, scaleShape, zeroPoint))] : []),
  ]
  const attributes: Record<string, number> = scaleShape.length === 0 ? {} : { axis: axis! }
  if (blockSize !== undefined) attributes.block_size = blockSize
  const value = draft.add('DequantizeLinear', inputs, attributes, { name: `${name}.dequantized` })
  return dtype === scaleType(dtype) ? value : draft.add('Cast', [value], { to: castCodes[dtype]! })
}

/** The narrowest type that holds the codes and their zero points. */
function codeType({ codes, zeroPoint, packed }: IntegerCodes, wide: boolean): DType {
  const sign = zeroPoint ? 'u' : ''
  for (const bits of [4, 8] as const) {
    if (wide || (bits === 4 && !packed)) continue
    const [low, high] = zeroPoint ? [0, 2 ** bits - 1] : [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1]
    const fits = (code: number) => code >= low && code <= high
    if (codes.every(fits) && (!zeroPoint || zeroPoint.every(fits))) return `${sign}int${bits}`
  }
  return `${sign}int16`
}

/** How the scales lie over an initializer. */
function granularityOf({ scale, axis, blockSize }: IntegerCodes): Granularity {
  if (blockSize !== undefined) return { kind: 'block', axis: axis!, size: blockSize }
  return scale.length === 1 ? { kind: 'tensor' } : { kind: 'axis', axis: axis! }
}

function shapeOfScales(item: IntegerCodes, shape: readonly number[]): number[] {
  const granularity = granularityOf(item)
  if (granularity.kind === 'tensor') return []
  const { axis } = granularity
  if (granularity.kind === 'axis') return [shape[axis]]
  return shape.map((size, at) => (at === axis ? Math.ceil(size / granularity.size) : size))
}

/** ONNX's numbers of the types that a Cast has to lead back to. */
const castCodes: { readonly [T in DType]?: number } = { float64: 11, bfloat16: 16 }

/** The numbers that codes stand for, in float32. */
export function dequantize(item: IntegerCodes, shape: readonly number[]): Float32Array {
  const { codes, scale, zeroPoint } = item
  const at = scaleIndices(granularityOf(item), shape)
  return Float32Array.from(codes, (code, i) => (code - (zeroPoint?.[at(i)] ?? 0)) * scale[at(i)])
}

/**
 * The model with the numbers in the place of integer codes of one scale each, for those of the named initializers of codes
 * that a DequantizeLinear without a zero point reads, and nothing else; and the scales, by the names of the new
 * initializers. What `withIntegerCodes` and `withIntegerBias` made, this takes back.
 */
export function withoutIntegerCodes(
  model: Model,
  names: ReadonlySet<string>,
): { readonly model: Model; readonly scales: ReadonlyMap<string, number> } {
  const draft = createDraft(model)
  const index = graphIndex(model.graph)
  const fed = new Set(model.graph.inputs.map((input) => input.name))
  const scales = new Map<string, number>()
  const constant = (name: string) => (fed.has(name) ? undefined : draft.initializers.get(name))
  for (const { op, domain, inputs, outputs } of model.graph.nodes) {
    if (op !== 'DequantizeLinear' || domain !== '' || inputs.length !== 2 || !names.has(inputs[0])) continue
    const [codes, scale] = inputs.map(constant)
    if (!codes || !scale || elementCount(scale.shape) !== 1 || index.consumers(inputs[0]).length !== 1) continue
    if (dtypes[codes.dtype].kind !== 'integer' || dtypes[codes.dtype].bits > 16) continue
    const [step] = toFloat32(scale)
    const values = Float32Array.from(toNumbers(codes), (code) => code * step)
    const name = draft.constant(inputs[0].replace(/\.codes$/, ''), fromFloat32(scale.dtype, codes.shape, values))
    draft.redirect(outputs[0], name)
    scales.set(name, step)
  }
  return { model: scales.size === 0 ? model : draft.finish(), scales }
}
