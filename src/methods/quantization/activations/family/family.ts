import { z } from 'zod'
import { UsageError } from '../../../../errors.ts'
import { createDraft, type Draft } from '../../../../ir/draft.ts'
import type { Dim, Model } from '../../../../ir/model.ts'
import { layers, type Layer } from '../../../../ir/rewrite.ts'
import { inferShapes } from '../../../../ir/shapes.ts'
import type { Paper } from '../../../../paper.ts'
import { float32, type Tensor } from '../../../../tensor/tensor.ts'
import type { Penalty } from '../../../../training/extensions.ts'
import { trainableParameters } from '../../../../training/parameters.ts'
import { calibrationSet } from '../../../calibration.ts'
import {
  chooseLayers,
  layerChoiceOptions,
  layerOverrides,
  optionsOfLayer,
  withoutDefaults,
} from '../../../layer-choice.ts'
import { defineMethod, type Context, type Method } from '../../../method.ts'
import { adoptTrained, retrain, retrainOption, retrains, type RetrainOption } from '../../../retraining.ts'
import { checkOutputsReached } from '../../../trained-graphs.ts'
import { finiteLayer, isPlainFloat } from '../../../weights.ts'
import { proveLevels } from './levels.ts'
import { endLayers, placesOf, quantizedBefore, type Place } from './placement.ts'
import { readInstead, type LayerProduct } from './rewiring.ts'
import { standardForm } from './standard-form.ts'
import { valueStatistics, type ValueStatistics } from './statistics.ts'

export type { LayerProduct } from './rewiring.ts'
export type { ValueStatistics } from './statistics.ts'

type Own<Shape extends z.ZodRawShape> = z.infer<z.ZodObject<Shape>>

/** What a quantizer needs to write its nodes. */
export interface QuantizerForm<Options> {
  readonly draft: Draft
  /** The value to quantize, float32. */
  readonly x: string
  /** Its shape as far as it can be told; the batch is usually a name. */
  readonly shape: readonly Dim[] | undefined
  /** The names of what `start` returned. */
  readonly parameters: Readonly<Record<string, string>>
  readonly options: Options
  /** A float32 scalar. */
  literal(value: number): string
}

/** What a quantizer starts from at one place. */
export interface QuantizerStart<Options> {
  /** What the value was on calibration data; only where the record says `calibrates`. */
  readonly statistics: ValueStatistics
  readonly options: Options
  /** The layer that reads the quantized value, the first of them where there are several. */
  readonly layer: string
}

/** What the file of a method supplies: what its paper says, and nothing of the mechanism. */
export interface ActivationQuantizer<Name extends string, Shape extends z.ZodRawShape> {
  readonly name: Name
  readonly summary: string
  readonly paper: Paper
  /** Options of its own, each with a default, that can also be set for single layers. */
  readonly options: Shape
  /** Whether it reads the layer's input as it is, or in front of the ReLU that this input comes from. */
  readonly activation: 'keeps' | 'replaces'
  /** Whether `start` looks at calibration data. */
  readonly calibrates?: boolean
  /** How many different values the result takes at most; default 2^bits. */
  readonly levels?: (options: Own<Shape>) => number
  /** Its constants at one place, by name; or why the place is better left alone. */
  start?(start: QuantizerStart<Own<Shape>>): Readonly<Record<string, Tensor>> | string
  /** Those of them that are trained with the network. */
  readonly trained?: readonly string[]
  /**
   * Writes the quantizer and returns the name of the quantized value. Where the gradient is not that of the function,
   * an operator of the 'espalier' domain says so; the exported model has its body.
   */
  forward(form: QuantizerForm<Own<Shape>>): string
  /** A further term of the loss at one place, a float32 scalar of the trained parameters. */
  penalty?(form: Omit<QuantizerForm<Own<Shape>>, 'x' | 'shape'>): string
  /**
   * Multiplies the result of a layer, without its bias, by what quantization took from its input.
   * Undefined for layers for which there is no such thing: they are left alone, and the report says so.
   */
  afterLayer?(product: LayerProduct<Own<Shape>>): string | undefined
}

export type ActivationOptions = Readonly<Record<string, unknown>> & {
  readonly ends: boolean
  readonly samples: number
  readonly retrain?: RetrainOption
  readonly include?: readonly string[]
  readonly exclude?: readonly string[]
  readonly layers?: Readonly<Record<string, Readonly<Record<string, unknown>>>>
}

type AnyQuantizer = ActivationQuantizer<string, z.ZodRawShape>

const samples = z
  .number()
  .int()
  .min(1)
  .max(100_000)
  .default(256)
  .describe('training examples that ranges are taken from, and that the result is checked on')

/** The option that says how many bits an activation has, from `least` to 8. */
export function activationBits(least: number, otherwise: number) {
  return z.number().int().min(least).max(8).default(otherwise).describe('bits of an activation')
}

/**
 * Makes the record of a method that lets layers read quantized inputs: ordinary ONNX nodes in front of each chosen
 * layer, one quantizer for a value that several layers read alike, and a training of the network with them in place
 * where there is data. The first and the last layers stay as they are unless `ends` is set.
 *
 * A training that cannot see what is quantized is refused: where no gradient of the loss reaches a chosen layer, the
 * network would not learn to live with its inputs. With `retrain: false`, or without data, such a layer is quantized
 * like any other, by what the calibration data or the options say.
 *
 * The weights are not touched: a weight quantizer is another step of the recipe, and since every training goes straight
 * through the quantizers that stand in the graph (`training/lift.ts`), steps can follow in any order.
 */
export function defineActivationQuantizer<const Name extends string, Shape extends z.ZodRawShape>(
  quantizer: ActivationQuantizer<Name, Shape>,
): Method<Name, ActivationOptions> {
  const any = quantizer as unknown as AnyQuantizer
  const options = z.strictObject({
    ...quantizer.options,
    ends: z.boolean().default(false).describe('whether the first and the last layers read quantized inputs too'),
    samples,
    retrain: retrainOption,
    ...layerChoiceOptions,
    layers: layerOverrides(withoutDefaults(quantizer.options)),
  }) as unknown as z.ZodType<ActivationOptions>
  return defineMethod<Name, ActivationOptions>({
    name: quantizer.name,
    family: 'quantization',
    summary: quantizer.summary,
    paper: quantizer.paper,
    needs: quantizer.calibrates ? ['calibration-data'] : [],
    options,
    apply: (model, given, context) => quantizeActivations(model, any, given, context),
  })
}

/** A value, the layers that read it quantized, and with which options. */
export interface Site {
  readonly source: string
  readonly layers: readonly Layer[]
  readonly options: ActivationOptions
}

interface StartedSite extends Site {
  readonly start: Readonly<Record<string, Tensor>>
}

async function quantizeActivations(
  model: Model,
  quantizer: AnyQuantizer,
  options: ActivationOptions,
  context: Context,
): Promise<Model> {
  for (const layer of layers(model)) if (isPlainFloat(model, layer)) finiteLayer(model, layer)
  if (quantizer.calibrates) calibrationSet(context)
  const training = retrains(options.retrain, context)
  const placed = placesOf(model, chosenLayers(model, options, context), quantizer.activation)
  const sites = await started(placed.model, sitesOf(model, placed.places, options), quantizer, options, context)
  const { model: prepared, trained, penalties, done } = inserted(placed.model, sites, quantizer, context)
  if (done.length === 0) return model
  const parameters = [...trainableParameters(prepared), ...trained]
  const trains = training && (parameters.length > 0 || options.retrain !== undefined)
  if (trains)
    checkOutputsReached(
      prepared,
      done.flatMap((site) => site.layers),
    )
  const values = trains
    ? await retrain(prepared, parameters, options.retrain || {}, context, quantizer.name, { penalties })
    : undefined
  const names = new Set(done.flatMap((site) => site.layers.map(({ name }) => name)))
  const quantized = standardForm(values ? adoptTrained(prepared, values) : prepared, names, model)
  const levels = (own: ActivationOptions) => quantizer.levels?.(own) ?? 2 ** Number(own.bits)
  await proveLevels(quantizer.name, model, quantized, done, levels, options.samples, context)
  return quantized
}

/** All layers whose inputs are to be quantized; those that share a weight are chosen together. */
function chosenLayers(model: Model, options: ActivationOptions, context: Context): Layer[] {
  const weights = new Set(chooseLayers(model, options, context).map(({ weight }) => weight))
  const ends = endLayers(model)
  const before = quantizedBefore(model)
  return layers(model).filter((layer) => {
    if (!weights.has(layer.weight)) return false
    const reason = leaveAlone(layer)
    if (reason) context.skip(layer.name, reason)
    return !reason
  })

  function leaveAlone({ node, input }: Layer): string | undefined {
    if (!options.ends && ends.first.has(node)) return 'it reads the input of the network; set ends to quantize that too'
    if (!options.ends && ends.last.has(node)) return 'it is the last layer; set ends to quantize what it reads too'
    return before(node.inputs[1 - input]) ? 'what it reads is quantized already' : undefined
  }
}

/** One site for all layers that read the same value with the same options. */
function sitesOf(model: Model, places: readonly Place[], options: ActivationOptions): Site[] {
  const found = new Map<string, Site & { layers: Layer[] }>()
  for (const { layer, source } of places) {
    const own = optionsOfLayer(options, layer, model)
    const key = JSON.stringify([source, own])
    const site = found.get(key) ?? { source, layers: [], options: own }
    site.layers.push(layer)
    found.set(key, site)
  }
  return [...found.values()]
}

/** The sites with what the quantizer starts from there; those that it leaves alone are reported. */
async function started(
  model: Model,
  sites: readonly Site[],
  { calibrates, start }: AnyQuantizer,
  { samples: count }: ActivationOptions,
  context: Context,
): Promise<StartedSite[]> {
  if (!start || sites.length === 0) return sites.map((site) => ({ ...site, start: {} }))
  const values = new Map(sites.map(({ source, layers: [{ name }] }) => [source, name]))
  const statistics = calibrates
    ? await valueStatistics(model, values, calibrationSet(context), count, context)
    : new Map<string, ValueStatistics>()
  return sites.flatMap((site) => {
    const layer = site.layers[0].name
    const found = start({ statistics: statistics.get(site.source)!, options: site.options, layer })
    if (typeof found !== 'string') return [{ ...site, start: found }]
    for (const { name } of site.layers) context.skip(name, found)
    return []
  })
}

interface Inserted {
  readonly model: Model
  /** Names of the quantizers' own trained parameters. */
  readonly trained: readonly string[]
  readonly penalties: readonly Penalty[]
  readonly done: readonly Site[]
}

/** The training form: what quantizers compute with the gradients that they have. */
function inserted(
  model: Model,
  sites: readonly StartedSite[],
  { forward, afterLayer, penalty, trained: trainable = [] }: AnyQuantizer,
  context: Context,
): Inserted {
  const types = inferShapes(model)
  const draft = createDraft(model)
  const trained: string[] = []
  const penalties: Penalty[] = []
  const done: Site[] = []
  const literal = levelOf(draft)
  for (const { source, layers: readers, options, start } of sites) {
    const { dtype, shape } = types.get(source) ?? {}
    const name = readers[0].name
    if (dtype !== undefined && dtype !== 'float32')
      throw new UsageError('activation-type', `layer '${name}' reads ${dtype}; only float32 can be quantized`, {
        place: name,
        hint: 'Convert the model to float32 first, or exclude the layer.',
      })
    const parameters = Object.fromEntries(
      Object.entries(start).map(([key, tensor]) => [key, draft.constant(`${name}.input.${key}`, tensor)]),
    )
    const common = { draft, x: source, shape, options, literal }
    const quantized = forward({ ...common, parameters })
    const written = readers.filter((layer) => {
      const scale = afterLayer && ((product: string) => afterLayer({ ...common, layer, product }))
      const fits = readInstead(draft, layer, quantized, scale, shape?.length)
      if (!fits) context.skip(layer.name, 'there are no scales for the inputs of such a layer')
      return fits
    })
    if (written.length === 0) continue
    trained.push(...trainable.map((key) => parameters[key]))
    if (penalty) penalties.push((step) => penalty({ draft: step, parameters, options, literal: levelOf(step) }))
    done.push({ source, layers: written, options })
  }
  return { model: draft.finish(), trained, penalties, done }
}

function levelOf(draft: Draft): (value: number) => string {
  return (value) => draft.constant('level', float32([value], []))
}
