import { z } from 'zod'
import type { Model } from '../../../../ir/model.ts'
import { toFloat32Model } from '../../../../ir/precision.ts'
import type { Paper } from '../../../../paper.ts'
import {
  chooseLayers,
  layerChoiceOptions,
  layerOverrides,
  optionsOfLayer,
  withoutDefault,
  withoutDefaults,
} from '../../../layer-choice.ts'
import { defineMethod, type Context, type Method, type Precision } from '../../../method.ts'
import type { Masks } from '../../../held-weights.ts'
import { masksOfZeros } from '../../../masks.ts'
import { retrainOption, retrains, type RetrainOption } from '../../../retraining.ts'
import { checkFrozen, checkReached } from '../../../trained-graphs.ts'
import { finiteLayer, isPlainFloat } from '../../../weights.ts'
import { biasCodes } from '../../integer-codes.ts'
import {
  choosePrecisions,
  choosesPrecision,
  mixedPrecisionOptions,
  precisionSensitivity,
  type LayerToChoose,
  type MixedPrecisionOptions,
  type PrecisionInput,
} from './mixed-precision.ts'
import {
  granularityOptions,
  quantizedLayer,
  type GranularityOptions,
  type QuantizedWeights,
} from './quantized-layer.ts'
import {
  freeze,
  trainThrough,
  type LayerToTrain,
  type TrainedForm,
  type TrainedModel,
  type TrainedWeight,
} from './trained-form.ts'
import { checkValues, withWeights, type WrittenLayer } from './written-layers.ts'

export type { LatentWeight, TrainedForm } from './trained-form.ts'
export type { BookCodes, QuantizedWeights, ScaledCodes } from './quantized-layer.ts'

const biasBits = z.number().int().min(2).max(16).optional().describe('bits of a bias; default: biases stay as they are')

/** The option that says how many bits a code has, between two bounds. */
export function bitsOption(least: number, most: number, otherwise: number) {
  return z.number().int().min(least).max(most).default(otherwise).describe('bits of a code')
}

type Own<Shape extends z.ZodRawShape> = z.infer<z.ZodObject<Shape>>

/** What the file of a method supplies: what its paper says, and nothing of the mechanism. */
export interface WeightQuantizer<Name extends string, Shape extends z.ZodRawShape> {
  readonly name: Name
  readonly summary: string
  readonly paper: Paper
  /** What the paper lays a scale over; the default of the option. */
  readonly granularity: GranularityOptions['granularity']
  /** Whether weights become places in codebooks always: there is none for a group of inputs. */
  readonly codebooks?: true
  /** Options of its own, each with a default, that can also be set for single layers. */
  readonly options: Shape
  /** Those of them that are about the training as a whole: they cannot be set for single layers. */
  readonly whole?: readonly (keyof Shape & string)[]
  /**
   * The whole-number option that is larger where codes say more, if there is one: `strength` turns it, budgets choose it
   * for each layer, and the sensitivity is measured over it.
   */
  readonly precision?: keyof Shape & Precision
  /**
   * Codes and scale, or codes and codebook, of weights that share them: a pure function, the projection on what the
   * method can represent, that a training with latent weights asks as well as the conversion of a trained model.
   * @param weights finite, at least one of them not zero; not changed.
   */
  quantize(weights: Float32Array, options: Own<Shape>): QuantizedWeights
  /** How the weights are trained, where the method trains them: the network computes with their quantized form. */
  readonly trained?: TrainedForm<Own<Shape>>
  /** A training of its own instead, after which `quantize` changes what it left free and nothing else. */
  readonly training?: (schedule: TrainingSchedule<Own<Shape>>) => Promise<Model>
}

/** What the training of a record that has one of its own is given. */
export interface TrainingSchedule<Options> {
  readonly model: Model
  /** Those that will be quantized. */
  readonly layers: readonly LayerToTrain<Options & GranularityOptions>[]
  /** Those of the whole method; layers have their own. */
  readonly options: Options
  readonly settings: Exclude<RetrainOption, false>
  readonly context: Context
  /** What the values of a layer's weight become in the end, in the weight's layout. */
  project(layer: LayerToTrain<Options & GranularityOptions>, values: Float32Array): Float32Array
}

type LayerOptions = GranularityOptions & Readonly<Record<string, unknown>>

export type QuantizationOptions = LayerOptions &
  MixedPrecisionOptions & {
    readonly biasBits?: number
    readonly retrain?: RetrainOption
    readonly include?: readonly string[]
    readonly exclude?: readonly string[]
    readonly layers?: Readonly<Record<string, Partial<LayerOptions>>>
  }

/** A method of the registry that also tells its projection. */
export type WeightQuantization<Name extends string, Shape extends z.ZodRawShape> = Method<Name, QuantizationOptions> &
  Pick<WeightQuantizer<Name, Shape>, 'quantize'>

type AnyQuantizer = WeightQuantizer<string, z.ZodRawShape>

/**
 * Makes the record of a method that writes weights in few bits.
 *
 * In the result a weight is `DequantizeLinear(codes, scale)` with codes of 4, 8 or 16 bits, one scale a layer, a
 * channel or a block of inputs; or, where values are no multiples of a scale, `Gather(codebook, Cast(codes))`. Biases
 * stay as they are unless `biasBits` is set.
 *
 * Methods whose records say how weights are trained have the option `retrain`. With data, latent weights in full
 * precision then learn while the network computes with their quantized form, or a schedule of the record's own runs;
 * and the frozen result is compared with what was trained. Without data, or with `retrain: false`, the weights that are
 * there are quantized.
 *
 * Weights that are all zero stay zero, exactly, whether zero is among the method's values or not. A layer whose codes,
 * scales and codebooks would take as much as its weights is skipped, and the report says why.
 */
export function defineWeightQuantizer<const Name extends string, Shape extends z.ZodRawShape>(
  quantizer: WeightQuantizer<Name, Shape>,
): WeightQuantization<Name, Shape> {
  const any = quantizer as unknown as AnyQuantizer
  const perLayer: z.ZodRawShape = {
    ...quantizer.options,
    ...granularityOptions(quantizer.granularity, quantizer.codebooks),
  }
  const single = Object.entries(perLayer).filter(([key]) => !quantizer.whole?.includes(key))
  const unfilled = withoutDefaults(Object.fromEntries(single))
  const { precision } = quantizer
  const options = z.strictObject({
    ...perLayer,
    ...(precision === undefined ? {} : mixedPrecisionOptions),
    biasBits,
    ...(quantizer.trained || quantizer.training ? { retrain: retrainOption } : {}),
    ...layerChoiceOptions,
    layers: layerOverrides(unfilled),
  }) as unknown as z.ZodType<QuantizationOptions>
  const method = defineMethod<Name, QuantizationOptions>({
    name: quantizer.name,
    family: 'quantization',
    summary: quantizer.summary,
    paper: quantizer.paper,
    needs: [],
    options,
    ...(precision === undefined
      ? {}
      : {
          strength: strengthBy(precision, unfilled[precision]),
          sensitivity: async (...input) =>
            precisionSensitivity(precisionInput(any, precision, allLayers(...input), ...input)),
        }),
    apply: async (model, given, context) => quantizeModel(model, any, given, context),
  })
  return Object.freeze({ ...method, quantize: quantizer.quantize })
}

/**
 * At strength 0 codes say three bits, or the like, more than was asked for, at 2 three less; as far as bounds allow.
 */
function strengthBy(key: string, schema: z.core.$ZodType) {
  const { minValue, maxValue } = schema as z.ZodNumber
  const turned = <A extends Readonly<Record<string, unknown>>>(item: A, strength: number): A => {
    if (item[key] === undefined) return item
    const wanted = Math.round((item[key] as number) + 3 * (1 - strength))
    return { ...item, [key]: Math.min(maxValue!, Math.max(minValue!, wanted)) }
  }
  const average = ({ averageBits }: QuantizationOptions, strength: number) =>
    averageBits === undefined ? {} : { averageBits: Math.min(16, Math.max(1, averageBits + 3 * (1 - strength))) }
  return (given: QuantizationOptions, strength: number): QuantizationOptions => ({
    ...turned(given, strength),
    ...average(given, strength),
    layers:
      given.layers && Object.fromEntries(Object.entries(given.layers).map(([name, o]) => [name, turned(o, strength)])),
  })
}

type AnyLayer = LayerToTrain<LayerOptions>

async function quantizeModel(
  given: Model,
  quantizer: AnyQuantizer,
  options: QuantizationOptions,
  context: Context,
): Promise<Model> {
  const chosen = await withPrecisions(quantizer, given, options, context)
  const untrained = quantizeAll(given, quantizer, chosen, context)
  const learns = (quantizer.trained ?? quantizer.training) !== undefined && retrains(options.retrain, context)
  if (!learns || untrained.length === 0) return written(given, quantizer, untrained, options, context)
  const { model, graph, weights } = await trainLayers(given, quantizer, untrained, options, context)
  const kept = untrained.map((done) => done.chosen)
  const frozen = quantizeAll(model, quantizer, kept, context, weights)
  const result = written(model, quantizer, frozen, options, context)
  if (context.proved) {
    const lost = kept.filter((one) => frozen.every(({ chosen }) => chosen !== one))
    // Biases are rounded after the training: before, all is as it was trained.
    const [exact, when] =
      options.biasBits === undefined ? [result, ''] : [withWeights(model, frozen), ', before biases are rounded']
    const compared =
      lost.length > 0 ? `layers cannot be written as trained: ${lost.map(({ layer }) => layer.name).join(', ')}` : exact
    const found = await checkFrozen(quantizer.name, graph, compared, context)
    context.proved(found.leftOut ? found : { ...found, detail: found.detail + when })
  }
  return result
}

/** Trains the layers that will be quantized, through their quantized form or by the schedule of the record. */
async function trainLayers(
  given: Model,
  quantizer: AnyQuantizer,
  untrained: readonly WrittenLayer[],
  options: QuantizationOptions,
  context: Context,
): Promise<Omit<TrainedModel, 'weights'> & Partial<TrainedModel>> {
  const kept = untrained.map((done) => done.chosen)
  const settings = options.retrain || {}
  if (!quantizer.training) {
    const held = zerosToHold(given, untrained)
    return trainThrough(given, kept, quantizer.trained!, { settings, held }, context)
  }
  checkReached(
    toFloat32Model(given),
    kept.map(({ layer }) => layer),
  )
  const project = projection(given, quantizer)
  const model = await quantizer.training({ model: given, layers: kept, options, settings, context, project })
  return { model, graph: toFloat32Model(model) }
}

/** The zeros of pruned layers, where the quantizer has a zero and not all are: trained, they would come back. */
function zerosToHold(model: Model, quantized: readonly WrittenLayer[]): Masks {
  const masks = masksOfZeros(model)
  for (const { chosen, result } of quantized)
    if (masks.get(chosen.layer.weight)?.some((mask, i) => mask === 0 && result.values[i] !== 0))
      masks.delete(chosen.layer.weight)
  for (const [name, mask] of masks) if (!mask.includes(1)) masks.delete(name)
  return masks
}

type Input = readonly [model: Model, options: QuantizationOptions, context: Context]

/** The layers that are asked for, with their options. */
function allLayers(...[model, options, context]: Input): readonly AnyLayer[] {
  return chooseLayers(model, options, context).map((layer) => ({
    layer,
    options: optionsOfLayer(options, layer, model),
  }))
}

/** The same with the precisions that a budget gives them, where there is one; what `layers` sets for one stays. */
async function withPrecisions(quantizer: AnyQuantizer, ...input: Input): Promise<readonly AnyLayer[]> {
  const { precision } = quantizer
  const chosen = allLayers(...input)
  if (precision === undefined || !choosesPrecision(input[1])) return chosen
  const found = await choosePrecisions(precisionInput(quantizer, precision, chosen, ...input))
  return chosen.map((one) => {
    const value = found.get(one.layer.weight)
    return value === undefined ? one : { ...one, options: { ...one.options, [precision]: value } }
  })
}

/** What the layers become at each precision, or at the one that `layers` sets. */
function precisionInput(
  quantizer: AnyQuantizer,
  unit: Precision,
  chosen: readonly AnyLayer[],
  ...[model, options, context]: Input
): PrecisionInput {
  const { minValue, maxValue } = withoutDefault(quantizer.options[unit]) as z.ZodNumber
  const range = Array.from({ length: maxValue! - minValue! + 1 }, (_, i) => minValue! + i)
  const layers = chosen.map(({ layer, options: own }): LayerToChoose => {
    const set = optionsOfLayer<Pick<QuantizationOptions, 'layers'>>({ layers: options.layers }, layer, model)
    const fixed = (set as Partial<LayerOptions>)[unit]
    const at = (value: number) => {
      const found = quantizeOne(model, { layer, options: { ...own, [unit]: value } }, quantizer)
      return typeof found === 'string' ? found : found.result
    }
    const weights = isPlainFloat(model, layer) ? finiteLayer(model, layer) : new Float32Array()
    return { layer, weights, precisions: fixed === undefined ? range : [fixed as number], at }
  })
  return { method: quantizer.name, unit, model, layers, options, context }
}

/** The layers that can be quantized, as they will be; the others are reported. */
function quantizeAll(
  model: Model,
  quantizer: AnyQuantizer,
  chosen: readonly AnyLayer[],
  context: Context,
  trained?: ReadonlyMap<string, TrainedWeight>,
): WrittenLayer[] {
  const done: WrittenLayer[] = []
  for (const [position, one] of chosen.entries()) {
    const { layer } = one
    context.signal?.throwIfAborted()
    context.progress?.({ task: quantizer.name, done: position, total: chosen.length, detail: { layer: layer.name } })
    const found = quantizeOne(model, one, quantizer, trained?.get(layer.weight))
    if (typeof found === 'string') context.skip(layer.name, found)
    else done.push(found)
  }
  context.progress?.({ task: quantizer.name, done: chosen.length, total: chosen.length })
  return done
}

function quantizeOne(
  model: Model,
  chosen: AnyLayer,
  quantizer: AnyQuantizer,
  trained?: TrainedWeight,
): WrittenLayer | string {
  const { layer, options } = chosen
  if (!isPlainFloat(model, layer)) return 'its weights are not plain floats: they were shared or quantized before'
  const tensor = model.graph.initializers.get(layer.weight)!
  const weights = trained?.weights ?? finiteLayer(model, layer)
  if (weights.length === 0) return 'it has no weights'
  const result = quantizedLayer(layer, tensor, weights, options, (own, places, part) =>
    trained
      ? freeze(quantizer.trained!, quantizer.quantize, { own, places, part, trained, options })
      : quantizer.quantize(own, options),
  )
  return typeof result === 'string' ? result : { chosen, tensor, weights, result }
}

/** What a schedule asks: the values that weights will have. */
function projection(model: Model, quantizer: AnyQuantizer) {
  return ({ layer, options }: AnyLayer, values: Float32Array): Float32Array => {
    const tensor = model.graph.initializers.get(layer.weight)!
    const found = quantizedLayer(layer, tensor, values, options, (own) => quantizer.quantize(own, options))
    return typeof found === 'string' ? values : found.values
  }
}

/** The model with the codes in it, which proves that they say what was chosen. */
function written(
  model: Model,
  { name }: AnyQuantizer,
  done: readonly WrittenLayer[],
  options: QuantizationOptions,
  context: Context,
): Model {
  const ofLayers = new Set(done.flatMap(({ chosen }) => chosen.layer.bias ?? []))
  const biases = options.biasBits === undefined ? [] : biasCodes(model, options.biasBits, ofLayers)
  const quantized = withWeights(model, done, biases)
  if (done.length > 0) context.proved?.(checkValues(name, quantized, done))
  return quantized
}
