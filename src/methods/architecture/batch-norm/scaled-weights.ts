/** The weights of a layer times one factor an output channel: floats, integer codes with scales, codebooks. */
import type { ConstantValues } from '../../../ir/constant-values.ts'
import type { Draft } from '../../../ir/draft.ts'
import { scaleIndices } from '../../../ir/families/quantization.ts'
import type { GraphIndex } from '../../../ir/graph.ts'
import { intAttribute, type Node } from '../../../ir/model.ts'
import type { Layer } from '../../../ir/rewrite.ts'
import { dtypes, type DType } from '../../../tensor/dtype.ts'
import { fromNumbers, toNumbers } from '../../../tensor/elements.ts'
import { roundSignificant } from '../../../tensor/powers-of-two.ts'
import { elementCount, type Tensor } from '../../../tensor/tensor.ts'

/** What is to be written in the place of a weight. */
export interface Scaled {
  /** Of the numbers that the weight stands for. */
  readonly dtype: DType
  /** Whether weights are integer codes. */
  readonly coded: boolean
  write(draft: Draft): void
}

/** The relative error that the rounding of a type has; beyond it numbers have left the range of the type. */
const roundings: { readonly [T in DType]?: number } = { float16: 2 ** -10, bfloat16: 2 ** -7, float32: 2 ** -22 }

/** A tensor of the numbers, or undefined where they are too small or too large for the type. */
function stored(dtype: DType, shape: readonly number[], values: Float64Array, floor = 0): Tensor | undefined {
  const tensor = fromNumbers(dtype, shape, values)
  const rounding = roundings[dtype] ?? 0
  const fits = toNumbers(tensor).every(
    (value, i) => Math.abs(value - values[i]) <= rounding * Math.abs(values[i]) + floor,
  )
  return fits ? tensor : undefined
}

/** The index along `axis` of each element. */
function along(axis: number, shape: readonly number[]): (i: number) => number {
  return scaleIndices({ kind: 'axis', axis }, shape)
}

const outOfRange = (what: string, dtype: DType) => `its ${what} would be too small or too large for ${dtype}`

/**
 * Floats are multiplied and rounded to their type; what is far below the largest of its channel may vanish.
 * @param axis along which factors lie.
 */
export function scaledFloats(
  layer: Layer,
  tensor: Tensor,
  factor: Float64Array,
  axis = layer.outAxis!,
): Scaled | string {
  const { dtype, shape } = tensor
  const channel = along(axis, shape)
  const values = toNumbers(tensor).map((value, i) => value * factor[channel(i)])
  const rounding = roundings[dtype] ?? 0
  const largest = new Float64Array(factor.length)
  values.forEach((value, i) => (largest[channel(i)] = Math.max(largest[channel(i)], Math.abs(value))))
  const changed = fromNumbers(dtype, shape, values)
  if (toNumbers(changed).some((value, i) => !(Math.abs(value - values[i]) <= rounding * largest[channel(i)])))
    return outOfRange('weights', dtype)
  return { dtype, coded: false, write: (draft) => void draft.initializers.set(layer.weight, changed) }
}

interface CodesInput {
  readonly layer: Layer
  /** The DequantizeLinear. */
  readonly step: Node
  readonly factor: Float64Array
  readonly bits: number
  readonly draft: Draft
  readonly index: GraphIndex
  readonly constant: ConstantValues
}

/**
 * Codes stay, and a scale becomes one for each channel (of blocks: one for each block of a channel). Scales are
 * positive: a negative factor turns the signs of its codes, and a factor of zero clears them. Where there are zero
 * points z, a code q of the range [low, high] and its z become low + high - q and low + high - z.
 */
export function scaledCodes(input: CodesInput): Scaled | string {
  const { layer, step, factor, bits, draft, index, constant } = input
  const outAxis = layer.outAxis!
  const codes = draft.initializers.get(layer.weight)!
  const [scale, zeroPoint] = [constant(step.inputs[1]), step.inputs[2] ? constant(step.inputs[2]) : undefined]
  const constants = step.inputs.slice(1).every((name) => name === '' || draft.initializers.has(name))
  if (!scale || !constants || (step.inputs[2] && !zeroPoint)) return 'its scales are no constants'
  if (dtypes[codes.dtype].kind !== 'integer') return 'its codes are no integers'
  const blocks = intAttribute(step, 'block_size', 0) !== 0
  const old = toNumbers(scale)
  const axis = (intAttribute(step, 'axis', 1) + codes.shape.length) % codes.shape.length
  if (!blocks && old.length > 1 && axis !== outAxis) return 'its scales lie along another axis'
  const shape = blocks ? scale.shape : [factor.length]
  const channel = along(blocks ? outAxis : 0, shape)
  if (blocks && axis === outAxis) return 'its scales are for blocks of output channels'
  const oldAt = (i: number) => (old.length === 1 ? 0 : i)
  const exact = Float64Array.from({ length: elementCount(shape) }, (_, i) =>
    roundSignificant(Math.abs(factor[channel(i)]) * old[oldAt(i)], bits),
  )
  const scales = stored(
    scale.dtype,
    shape,
    exact.map((value, i) => (factor[channel(i)] === 0 ? 1 : value)),
  )
  if (!scales || toNumbers(scales).some((value) => !(value > 0))) return outOfRange('scales', scale.dtype)
  const [low, high] = integerRange(codes.dtype)
  const points = Float64Array.from({ length: zeroPoint ? exact.length : 0 }, (_, i) => {
    const point = toNumbers(zeroPoint!)[oldAt(i)]
    return factor[channel(i)] < 0 ? low + high - point : point
  })
  const of = along(outAxis, codes.shape)
  const at = blocks ? scaleIndices({ kind: 'block', axis, size: intAttribute(step, 'block_size', 0) }, codes.shape) : of
  const values = toNumbers(codes).map((code, i) => {
    const a = factor[of(i)]
    if (a === 0) return zeroPoint ? points[at(i)] : 0
    if (a > 0) return code
    return zeroPoint ? low + high - code : 0 - code
  })
  if (values.some((code) => code < low || code > high))
    return `a factor is negative, and a code of ${low} has no opposite in ${codes.dtype}`
  const attributes = { ...step.attributes, axis: { kind: 'int' as const, value: blocks ? axis : outAxis } }
  const write = (into: Draft) => {
    into.initializers.set(layer.weight, fromNumbers(codes.dtype, codes.shape, values))
    const replaced = (name: string, tensor: Tensor) => {
      if (index.consumers(name).length > 1) return into.constant(name, tensor)
      into.initializers.set(name, tensor)
      return name
    }
    const inputs = [step.inputs[0], replaced(step.inputs[1], scales)]
    if (zeroPoint) inputs.push(replaced(step.inputs[2], fromNumbers(codes.dtype, shape, points)))
    const position = into.nodes.findIndex(({ outputs }) => outputs[0] === step.outputs[0])
    into.nodes[position] = { ...into.nodes[position], inputs, attributes }
  }
  return { dtype: scale.dtype, coded: true, write }
}

function integerRange(dtype: DType): readonly [number, number] {
  const { bits } = dtypes[dtype]
  return dtype.startsWith('u') ? [0, 2 ** bits - 1] : [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1]
}

interface BookInput {
  readonly layer: Layer
  /** Between the indices and the weight, but for what only moves them. */
  readonly steps: readonly Node[]
  readonly factor: Float64Array
  readonly draft: Draft
  readonly index: GraphIndex
}

/**
 * Gather(book, Cast(indices) + offsets) with a codebook for each channel: its entries are multiplied, whatever the
 * sign.
 */
export function scaledBook({ layer, steps, factor, draft, index }: BookInput): Scaled | string {
  const gather = steps.at(-1)!
  const add = steps.find(({ op }) => op === 'Add')
  const book = draft.initializers.get(gather.inputs[0])
  if (!book || dtypes[book.dtype].kind !== 'float' || book.shape.length !== 1) return 'its codebook is no constant'
  if (steps.some(({ op }) => !['Cast', 'Add', 'Gather'].includes(op))) return 'its weights are neither floats nor codes'
  if (!add) return 'one codebook serves all of its channels'
  const entries = book.shape[0] / factor.length
  const offsets = add.inputs.map((name) => draft.initializers.get(name)).find((tensor) => tensor)
  const own =
    offsets &&
    offsets.shape.every((size, axis) => size === (axis === layer.outAxis ? factor.length : 1)) &&
    toNumbers(offsets).every((offset, c) => offset === c * entries)
  if (!own) return 'its channels do not have a codebook each'
  const exact = toNumbers(book).map((value, i) => value * factor[Math.floor(i / entries)])
  const changed = stored(book.dtype, book.shape, exact)
  if (!changed) return outOfRange('codebook', book.dtype)
  const write = (into: Draft) => {
    if (index.consumers(gather.inputs[0]).length === 1) return void into.initializers.set(gather.inputs[0], changed)
    const name = into.constant(gather.inputs[0], changed)
    const position = into.nodes.findIndex(({ outputs }) => outputs[0] === gather.outputs[0])
    const inputs = [name, ...into.nodes[position].inputs.slice(1)]
    into.nodes[position] = { ...into.nodes[position], inputs }
  }
  return { dtype: book.dtype, coded: false, write }
}
