import { z } from 'zod'
import type { Model } from '../../ir/model.ts'
import type { Layer } from '../../ir/rewrite.ts'
import type { Paper } from '../../paper.ts'
import { dtypes } from '../../tensor/dtype.ts'
import { fromFloat32, toFloat32 } from '../../tensor/half.ts'
import { largestMagnitude } from '../../tensor/magnitudes.ts'
import { createRandom, type Random } from '../../tensor/random.ts'
import { elementCount, type Tensor } from '../../tensor/tensor.ts'
import { trainableParameters } from '../../training/parameters.ts'
import { withCodebooks, type CodebookLayer } from '../codebooks.ts'
import { chooseLayers, layerChoiceOptions, layerOverrides, optionsOfLayer } from '../layer-choice.ts'
import { defineMethod, type Context, type Method, type Need } from '../method.ts'
import { adoptTrained, retrain, retrainOption, retrains } from '../retraining.ts'
import { finiteWeights, isPlainFloat, weightsOfLayers } from '../weights.ts'
import { nearestCentroids } from './cluster.ts'

/** The options of every method that replaces weights by a few shared values. */
const sharingOptions = {
  bits: z.number().int().min(1).max(16).default(5).describe('bits of a code: the codebook has 2^bits entries'),
  maxError: z
    .number()
    .positive()
    .max(1)
    .optional()
    .describe(
      'use fewer bits than that where the weights still change by no more, relatively, in the root mean square',
    ),
  granularity: z
    .enum(['tensor', 'channel'])
    .default('tensor')
    .describe('one codebook a layer or one an output channel'),
  retrain: retrainOption,
  ...layerChoiceOptions,
}

/** What the paper's file sees: the weights that are to share values. */
export interface WeightsToShare<Options> {
  readonly layer: Layer
  /** Finite; without the zeros of a pruned layer. */
  readonly values: Float32Array
  /** The most centroids that fit. */
  readonly count: number
  readonly options: Options
  readonly random: Random
}

export interface WeightSharer<Name extends string, Shape extends z.ZodRawShape> {
  readonly name: Name
  readonly summary: string
  readonly paper: Paper
  readonly needs?: readonly Need[]
  /** Options of its own, each with a default, that can also be set for single layers. */
  readonly options: Shape
  /** The shared values, ascending: at most `count`. */
  share(weights: WeightsToShare<z.infer<z.ZodObject<Shape>>>): ArrayLike<number>
}

export type SharingOptions = z.infer<z.ZodObject<typeof sharingOptions>> & {
  layers?: Record<string, Partial<Pick<SharingOptions, 'bits' | 'maxError' | 'granularity'>>>
}

/**
 * Makes the record of a method that lets weights share values. In the result a weight is
 * `Gather(codebook, Cast(indices))` with indices of 8 bits (16 beyond 256 entries): plain ONNX. With a codebook for each
 * output channel the codes stay as small, and an offset a channel is added to them before the Gather.
 *
 * In a layer that was pruned, code 0 is the number zero, before and after fine-tuning. A layer counts as pruned when at
 * least one weight in 2^bits is exactly zero, so that a code of its own is no waste. A layer that has no more different
 * values than codes is represented exactly. A layer whose codes and codebook would be larger than its weights is skipped.
 */
export function defineWeightSharer<const Name extends string, Shape extends z.ZodRawShape>(
  sharer: WeightSharer<Name, Shape>,
): Method<Name, SharingOptions> {
  const { bits, maxError, granularity } = sharingOptions
  const perLayer = { bits, maxError, granularity, ...sharer.options }
  const unfilled = Object.fromEntries(
    Object.entries(perLayer).map(([key, schema]) => [key, schema instanceof z.ZodDefault ? schema.unwrap() : schema]),
  ) as z.ZodRawShape
  return defineMethod({
    name: sharer.name,
    family: 'sharing',
    summary: sharer.summary,
    paper: sharer.paper,
    needs: sharer.needs ?? [],
    options: z.strictObject({
      ...sharingOptions,
      ...sharer.options,
      layers: layerOverrides(unfilled),
    }) as unknown as z.ZodType<SharingOptions>,
    strength: strengthOf,
    apply: (model, options, context) =>
      share(model, sharer as unknown as WeightSharer<Name, z.ZodRawShape>, options, context),
  })
}

async function share(
  model: Model,
  sharer: WeightSharer<string, z.ZodRawShape>,
  options: SharingOptions,
  context: Context,
): Promise<Model> {
  const random = createRandom(context.seed).fork(sharer.name)
  const shared: CodebookLayer[] = []
  const chosen = chooseLayers(model, options, context)
  for (const [position, layer] of chosen.entries()) {
    context.signal?.throwIfAborted()
    context.progress?.({ task: sharer.name, done: position, total: chosen.length, detail: { layer: layer.name } })
    if (!isPlainFloat(model, layer)) {
      context.skip(layer.name, 'its weights are not plain floats: they were shared or quantized before')
      continue
    }
    const result = shareLayer(model, layer, sharer, optionsOfLayer(options, layer, model), random.fork(layer.weight))
    if (typeof result === 'string') context.skip(layer.name, result)
    else shared.push(result)
  }
  context.progress?.({ task: sharer.name, done: chosen.length, total: chosen.length })
  const final = withCodebooks(model, shared, false)
  if (!retrains(options.retrain, context)) return final.model
  const prepared = withCodebooks(model, shared, true)
  // Weights of the layers that share nothing stay as they are: trained, their zeros would come back.
  const weights = weightsOfLayers(model)
  const parameters = [
    ...trainableParameters(model).filter((name) => !weights.has(name)),
    ...prepared.codebooks.values(),
  ]
  const trained = await retrain(prepared.model, parameters, options.retrain || {}, context, 'fine-tune')
  const tuned = shared.map((item) => {
    const codebook = prepared.codebooks.get(item.layer.weight)
    return codebook === undefined ? item : withTrainedCodebook(item, trained.get(codebook)!)
  })
  return withCodebooks(adoptTrained(model, trained), tuned, false).model
}

function shareLayer(
  model: Model,
  layer: Layer,
  sharer: WeightSharer<string, z.ZodRawShape>,
  options: SharingOptions,
  random: Random,
): CodebookLayer | string {
  const tensor = model.graph.initializers.get(layer.weight)!
  const weights = finiteWeights(layer.weight, tensor)
  if (weights.length === 0) return 'it has no weights'
  if (options.granularity === 'channel' && layer.outAxis === undefined)
    return 'a Reshape mixes its output channels: one codebook a channel is not possible'
  const result = withFewestBits(layer, tensor, weights, options, (values, count) =>
    sharer.share({ layer, values, count, options, random }),
  )
  const valueBits = dtypes[tensor.dtype].bits
  const codeBits = Math.ceil(Math.log2(Math.max(2, result.entries)))
  const after = weights.length * codeBits + result.codebook.length * valueBits
  if (after < weights.length * valueBits) return result
  return `too small to share: ${weights.length} weights against ${result.codebook.length} codebook entries`
}

type Share = (values: Float32Array, count: number) => ArrayLike<number>

/** With `maxError` the fewest bits that keep it, otherwise `bits`. */
function withFewestBits(
  layer: Layer,
  tensor: Tensor,
  weights: Float32Array,
  { bits, maxError, granularity }: SharingOptions,
  share: Share,
): CodebookLayer {
  const axis = granularity === 'channel' ? layer.outAxis : undefined
  const size = Math.sqrt(weights.reduce((sum, value) => sum + value * value, 0))
  let tried = bits
  if (maxError !== undefined) {
    // Equal steps over the range have an error of step / √12: an estimate from below for where to begin.
    const largest = largestMagnitude(weights)
    const levels = (2 * largest) / (Math.sqrt(12 / weights.length) * maxError * Math.max(size, Number.MIN_VALUE))
    tried = Math.min(bits, Math.max(1, Math.floor(Math.log2(levels)) - 2))
  }
  for (; ; tried++) {
    const result = shareTensor(layer, tensor, weights, tried, axis, share)
    if (tried >= bits || maxError === undefined || changeOf(result, weights) <= maxError * size) return result
  }
}

function shareTensor(
  layer: Layer,
  { dtype, shape }: Tensor,
  weights: Float32Array,
  bits: number,
  axis: number | undefined,
  share: Share,
): CodebookLayer {
  const zeroes = weights.reduce((count, value) => count + (value === 0 ? 1 : 0), 0)
  const zeroFirst = zeroes * 2 ** bits >= weights.length && zeroes > 0
  const channels = axis === undefined ? 1 : shape[axis]
  const codes = new Uint16Array(weights.length)
  const books: number[][] = []
  for (let channel = 0; channel < channels; channel++) {
    const members = axis === undefined ? undefined : positionsInChannel(shape, axis, channel)
    const own = members ? Float32Array.from(members, (i) => weights[i]) : weights
    const values = zeroFirst ? own.filter((value) => value !== 0) : own
    const exact = share(values, 2 ** bits - (zeroFirst ? 1 : 0))
    // Rounded to the model's own type before the codes are chosen, so that a code is the nearest of what is stored.
    const rounded = toFloat32(fromFloat32(dtype, [exact.length], Float32Array.from(exact)))
    const { book, chosen } = codesOf(own, rounded, zeroFirst)
    books.push(book)
    if (members) for (let i = 0; i < members.length; i++) codes[members[i]] = chosen[i]
    else codes.set(chosen)
  }
  const entries = Math.max(...books.map((book) => book.length))
  const codebook = new Float32Array(channels * entries)
  for (const [channel, book] of books.entries()) codebook.set(book, channel * entries)
  return { layer, dtype, shape, codes, codebook, entries, channels, zeroFirst }
}

/** The distance of the shared weights from what they were: the root of the sum of squares. */
function changeOf({ codes, codebook, entries, channels, shape, layer }: CodebookLayer, weights: Float32Array): number {
  const inner = channels > 1 ? elementCount(shape.slice(layer.outAxis! + 1)) : weights.length
  let sum = 0
  for (let i = 0; i < codes.length; i++) {
    const channel = Math.floor(i / inner) % channels
    sum += (codebook[channel * entries + codes[i]] - weights[i]) ** 2
  }
  return Math.sqrt(sum)
}

/** Codes into a codebook from which the entries that nobody chose are gone; zero is entry 0 where it is set apart. */
function codesOf(
  values: Float32Array,
  centroids: Float32Array,
  zeroFirst: boolean,
): { book: number[]; chosen: Uint16Array } {
  const nearest = centroids.length > 0 ? nearestCentroids(values, centroids) : new Uint16Array(values.length)
  const isZero = (i: number) => zeroFirst && values[i] === 0
  const used = new Uint8Array(centroids.length)
  for (let i = 0; i < nearest.length; i++) if (!isZero(i)) used[nearest[i]] = 1
  const book = zeroFirst ? [0] : []
  const codeOf = new Uint16Array(centroids.length)
  for (let c = 0; c < centroids.length; c++) if (used[c]) codeOf[c] = book.push(centroids[c]) - 1
  return { book, chosen: nearest.map((c, i) => (isZero(i) ? 0 : codeOf[c])) }
}

function withTrainedCodebook(item: CodebookLayer, trained: Tensor): CodebookLayer {
  const values = toFloat32(trained)
  if (values.length === item.codebook.length) return { ...item, codebook: values }
  const codebook = new Float32Array(item.codebook.length)
  const kept = item.entries - 1
  for (let c = 0; c < item.channels; c++) codebook.set(values.subarray(c * kept, (c + 1) * kept), c * item.entries + 1)
  return { ...item, codebook }
}

/** The positions, ascending, of the elements whose index along `axis` is `channel`. */
function positionsInChannel(shape: readonly number[], axis: number, channel: number): Uint32Array {
  const inner = elementCount(shape.slice(axis + 1))
  const outer = elementCount(shape.slice(0, axis))
  const result = new Uint32Array(outer * inner)
  for (let o = 0; o < outer; o++)
    for (let i = 0; i < inner; i++) result[o * inner + i] = (o * shape[axis] + channel) * inner + i
  return result
}

/** At strength 0 codes are three bits longer than asked for, at 2 three bits shorter; never under one or over sixteen. */
function strengthOf(options: SharingOptions, s: number): SharingOptions {
  const scaled = <A extends { bits?: number }>(item: A): A =>
    item.bits === undefined ? item : { ...item, bits: Math.min(16, Math.max(1, Math.round(item.bits + 3 * (1 - s)))) }
  const layers =
    options.layers && Object.fromEntries(Object.entries(options.layers).map(([key, o]) => [key, scaled(o)]))
  return { ...scaled(options), layers }
}
