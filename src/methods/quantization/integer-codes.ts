import { createDraft, type Draft } from '../../ir/draft.ts'
import { graphIndex } from '../../ir/graph.ts'
import type { Model } from '../../ir/model.ts'
import type { Layer } from '../../ir/rewrite.ts'
import { dtypes, type DType } from '../../tensor/dtype.ts'
import { toNumbers } from '../../tensor/elements.ts'
import { fromFloat32, toFloat32 } from '../../tensor/half.ts'
import { createTensor, elementCount, type Tensor } from '../../tensor/tensor.ts'

/** Codes of a weight or a bias, in the order of its initializer, and what a code of 1 stands for. */
export interface IntegerCodes {
  /**
   * Stored as int8 where all of them fit, otherwise as int16. A MatMul gets int16 in any case: with int8 onnxruntime
   * makes the two an integer product, for which it rounds the layer's inputs to 8 bits.
   */
  readonly codes: Int8Array | Int16Array
  /** One entry, or one for each index of `axis`. Stored in the initializer's own type: see `storedScale`. */
  readonly scale: Float32Array
  /** Axis of the initializer; needed where `scale` has more than one entry. */
  readonly axis?: number
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

function withCodes(model: Model, items: readonly (IntegerCodes & { readonly name: string })[]): Model {
  if (items.length === 0) return model
  const draft = createDraft(model)
  const index = graphIndex(model.graph)
  for (const item of items) {
    const wide = index.consumers(item.name).some(({ op }) => op === 'MatMul')
    const { dtype, shape } = model.graph.initializers.get(item.name)!
    draft.redirect(item.name, dequantized(draft, item, { dtype, shape, wide }))
  }
  return draft.finish()
}

function dequantized(
  draft: Draft,
  { name, codes, scale, axis }: IntegerCodes & { readonly name: string },
  { dtype, shape, wide }: { readonly dtype: DType; readonly shape: readonly number[]; readonly wide: boolean },
): string {
  const fits = !wide && codes.every((code) => code >= -128 && code <= 127)
  const stored: Tensor = fits
    ? createTensor('int8', shape, Int8Array.from(codes))
    : createTensor('int16', shape, Int16Array.from(codes))
  const scaleShape = scale.length === 1 ? [] : [shape[axis!]]
  const inputs = [
    draft.constant(`${name}.codes`, stored),
    draft.constant(`${name}.scale`, fromFloat32(scaleType(dtype), scaleShape, scale)),
  ]
  const attributes: Record<string, number> = scale.length === 1 ? {} : { axis: axis! }
  const value = draft.add('DequantizeLinear', inputs, attributes, { name: `${name}.dequantized` })
  return dtype === scaleType(dtype) ? value : draft.add('Cast', [value], { to: castCodes[dtype]! })
}

/** ONNX's numbers of the types that a Cast has to lead back to. */
const castCodes: { readonly [T in DType]?: number } = { float64: 11, bfloat16: 16 }

/** The numbers that codes stand for, in float32. */
export function dequantize({ codes, scale, axis }: IntegerCodes, shape: readonly number[]): Float32Array {
  const inner = axis === undefined ? codes.length : elementCount(shape.slice(axis + 1))
  return Float32Array.from(
    codes,
    (code, i) => code * scale[scale.length === 1 ? 0 : Math.floor(i / inner) % scale.length],
  )
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
