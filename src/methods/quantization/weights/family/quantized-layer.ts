/** One layer by a weight quantizer: its weights in parts that have a scale or a codebook each, put together again. */
import { z } from 'zod'
import { scaleIndices, type Granularity } from '../../../../ir/families/quantization.ts'
import type { Layer } from '../../../../ir/rewrite.ts'
import { dtypes } from '../../../../tensor/dtype.ts'
import { fromFloat32, toFloat32 } from '../../../../tensor/half.ts'
import { elementCount, type Tensor } from '../../../../tensor/tensor.ts'
import type { CodebookLayer } from '../../../codebooks.ts'
import { dequantize, storedScale, type CodedWeight, type IntegerCodes } from '../../integer-codes.ts'

/** What weights become: codes of which q stands for (q - zero point) · scale, or places in a codebook. */
export type QuantizedWeights = ScaledCodes | BookCodes

export interface ScaledCodes {
  /** One a weight. */
  readonly codes: Int16Array
  readonly scale: number
  /** An integer of the codes' range; where there is one, codes are not negative. */
  readonly zeroPoint?: number
}

export interface BookCodes {
  /** One a weight. */
  readonly codes: Uint16Array
  /** The values, by code. */
  readonly levels: Float32Array
}

/** Over what a scale or a codebook is laid. */
export interface GranularityOptions {
  readonly granularity: 'tensor' | 'channel' | 'group'
  readonly groupSize: number
}

const granularity = z
  .enum(['tensor', 'channel', 'group'])
  .describe('one scale a layer, one an output channel, or one for each group of inputs of a filter')

const groupSize = z
  .number()
  .int()
  .min(2)
  .max(65536)
  .default(64)
  .describe('inputs that share a scale with granularity: group; in a convolution those of one place of the kernel')

const ofCodebooks = z.enum(['tensor', 'channel']).describe('one codebook a layer, or one an output channel')

/**
 * The options of every weight quantizer that say over what its scales are laid, also for single layers.
 * @param codebooks whether it writes codebooks always: there is none for a group of inputs.
 */
export function granularityOptions(usual: GranularityOptions['granularity'], codebooks = false): z.ZodRawShape {
  if (codebooks) return { granularity: ofCodebooks.default(usual === 'channel' ? 'channel' : 'tensor') }
  return { granularity: granularity.default(usual), groupSize }
}

/** A layer as it will be written, and the numbers that it stands for. */
export interface QuantizedLayer {
  readonly coded?: CodedWeight
  readonly shared?: CodebookLayer
  /** In the type of the weight. */
  readonly values: Float32Array
  /** Bits a weight of codes, scales, zero points and codebooks, without entropy coding. */
  readonly bits: number
}

/**
 * Quantizes the weights of a layer part by part. A part that is all zero stays that, exactly.
 * @param weights finite numbers in the place of those of `tensor`, at least one.
 * @param quantize gets the weights of a part, their places among all and the number of the part, in ascending order.
 * @returns what is to be written, or the reason why the layer is better left alone.
 */
export function quantizedLayer(
  layer: Layer,
  tensor: Tensor,
  weights: Float32Array,
  options: GranularityOptions,
  quantize: (weights: Float32Array, places: Uint32Array, part: number) => QuantizedWeights,
): QuantizedLayer | string {
  const layout = layoutOf(layer, tensor.shape, options)
  if (typeof layout === 'string') return layout
  const parts = partsOf(layout, tensor.shape).map((places, part) => {
    const own = Float32Array.from(places, (i) => weights[i])
    return { places, found: own.some((value) => value !== 0) ? quantize(own, places, part) : undefined }
  })
  const scaled = parts.every(({ found }) => !found || 'scale' in found)
  if (!scaled && layout.kind === 'block')
    return 'its values are no multiples of scales: a codebook a group is not possible'
  const result = scaled ? withScales(layer, tensor, layout, parts) : withBooks(layer, tensor, parts)
  if (result.values.some((value) => !Number.isFinite(value)) || result.coded?.scale.some((scale) => !(scale > 0)))
    return 'its weights are too small or too large for a scale of their type'
  if (result.bits < dtypes[tensor.dtype].bits) return result
  return `too small: ${weights.length} weights against ${parts.length} ${scaled ? 'scales' : 'codebooks'}`
}

/** How scales lie over the weight, or why they cannot lie as the options want it. */
export function layoutOf(layer: Layer, shape: readonly number[], options: GranularityOptions): Granularity | string {
  const { granularity, groupSize } = options
  if (granularity === 'tensor') return { kind: 'tensor' }
  if (granularity === 'channel') {
    if (layer.outAxis === undefined) return 'a Reshape mixes its output channels: one scale a channel is not possible'
    return shape[layer.outAxis] === 1 ? { kind: 'tensor' } : { kind: 'axis', axis: layer.outAxis }
  }
  if (layer.inAxis === undefined) return 'a Reshape mixes its inputs: scales of groups are not possible'
  const inputs = shape[layer.inAxis]
  if (inputs === 1) return 'a group lies along the inputs, of which each filter has one'
  return { kind: 'block', axis: layer.inAxis, size: Math.min(groupSize, inputs) }
}

/** The places of the weights of each part, ascending. */
export function partsOf(layout: Granularity, shape: readonly number[]): Uint32Array[] {
  const count = elementCount(shape)
  const part = scaleIndices(layout, shape)
  const sizes: number[] = []
  for (let i = 0; i < count; i++) sizes[part(i)] = (sizes[part(i)] ?? 0) + 1
  const places = sizes.map((size) => new Uint32Array(size))
  const filled = new Uint32Array(sizes.length)
  for (let i = 0; i < count; i++) places[part(i)][filled[part(i)]++] = i
  return places
}

interface Part {
  readonly places: Uint32Array
  /** Absent where the weights are all zero. */
  readonly found: QuantizedWeights | undefined
}

function withScales(layer: Layer, tensor: Tensor, layout: Granularity, parts: readonly Part[]): QuantizedLayer {
  const { dtype, shape } = tensor
  const codes = new Int16Array(elementCount(shape))
  const scale = new Float32Array(parts.length).fill(1)
  const zeroPoint = new Int16Array(parts.length)
  let shifted = false
  for (const [p, { places, found }] of (parts as readonly (Part & { found?: ScaledCodes })[]).entries()) {
    if (!found) continue
    scale[p] = found.scale
    zeroPoint[p] = found.zeroPoint ?? 0
    shifted ||= found.zeroPoint !== undefined
    for (let i = 0; i < places.length; i++) codes[places[i]] = found.codes[i]
  }
  const item: IntegerCodes = {
    codes,
    scale: storedScale(dtype, scale),
    ...(shifted ? { zeroPoint } : {}),
    ...(layout.kind === 'tensor' ? {} : { axis: layout.axis }),
    ...(layout.kind === 'block' ? { blockSize: layout.size } : {}),
    packed: true,
  }
  const used = new Set(codes)
  if (shifted) for (const point of zeroPoint) used.add(point)
  const codeBits = bitsOf(used.size)
  const own = dtypes[dtype].bits + (shifted ? codeBits : 0)
  return {
    coded: { layer, ...item },
    values: toFloat32(fromFloat32(dtype, shape, dequantize(item, shape))),
    bits: codeBits + (parts.length * own) / codes.length,
  }
}

function withBooks(layer: Layer, { dtype, shape }: Tensor, parts: readonly Part[]): QuantizedLayer {
  const found = parts.map((part) => part.found && asBook(part.found))
  const entries = found.reduce((most, book) => Math.max(most, book?.levels.length ?? 1), 1)
  const codes = new Uint16Array(elementCount(shape))
  const codebook = new Float32Array(parts.length * entries)
  const values = new Float32Array(codes.length)
  for (const [p, book] of found.entries()) {
    if (!book) continue
    const levels = toFloat32(fromFloat32(dtype, [book.levels.length], book.levels))
    codebook.set(levels, p * entries)
    for (const [i, place] of parts[p].places.entries()) {
      codes[place] = book.codes[i]
      values[place] = levels[book.codes[i]]
    }
  }
  return {
    shared: { layer, dtype, shape, codes, codebook, entries, channels: parts.length, zeroFirst: false },
    values,
    bits: bitsOf(entries) + (codebook.length * dtypes[dtype].bits) / codes.length,
  }
}

/** A codebook of the values that are there, ascending with their codes, and no others. */
function asBook(found: QuantizedWeights): BookCodes {
  const used = [...new Set<number>(found.codes)].sort((a, b) => a - b)
  const place = new Map(used.map((code, i) => [code, i]))
  const valueOf = (code: number) =>
    'levels' in found ? found.levels[code] : (code - (found.zeroPoint ?? 0)) * found.scale
  return {
    codes: Uint16Array.from(found.codes, (code) => place.get(code)!),
    levels: Float32Array.from(used, valueOf),
  }
}

/** Bits that tell so many codes apart; those of a layer whose weights are all the same take one. */
function bitsOf(count: number): number {
  return Math.ceil(Math.log2(Math.max(2, count)))
}

/** The squares of the changes relative to those of the weights; 0 where all of these are zero. */
export function relativeSquaredError(weights: Float32Array, values: Float32Array): number {
  let [error, size] = [0, 0]
  for (let i = 0; i < weights.length; i++) {
    error += (values[i] - weights[i]) ** 2
    size += weights[i] * weights[i]
  }
  return size === 0 ? 0 : error / size
}
