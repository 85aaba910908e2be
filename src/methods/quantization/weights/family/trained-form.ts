/** Weights that are trained through their quantization: the graph in which they are, and what comes out of it. */
import type { Engine } from '../../../../engines/engine.ts'
import { UsageError } from '../../../../errors.ts'
import { createDraft, type Draft } from '../../../../ir/draft.ts'
import type { Granularity } from '../../../../ir/families/quantization.ts'
import type { Model } from '../../../../ir/model.ts'
import { toFloat32Model, withNarrowedInitializers } from '../../../../ir/precision.ts'
import type { Layer } from '../../../../ir/rewrite.ts'
import { toFloat32 } from '../../../../tensor/half.ts'
import { createTensor, elementCount, float32, int64, scalar, type Tensor } from '../../../../tensor/tensor.ts'
import type { Constraint } from '../../../../training/extensions.ts'
import { trainableParameters } from '../../../../training/parameters.ts'
import type { Masks } from '../../../held-weights.ts'
import type { Context } from '../../../method.ts'
import { retrain, type RetrainOption } from '../../../retraining.ts'
import { checkReached } from '../../../trained-graphs.ts'
import { layoutOf, partsOf, type GranularityOptions, type QuantizedWeights } from './quantized-layer.ts'

/** A weight in the graph that trains it, as a `TrainedForm` sees it. All values are float32. */
export interface LatentWeight<Options> {
  readonly draft: Draft
  /** The name of the value that is trained. */
  readonly latent: string
  /**
   * Its shape: `[out, in, ...kernel]` as stored; with granularity group the inputs are two axes, groups and members.
   */
  readonly shape: readonly number[]
  /** The axes that one scale reaches over. */
  readonly axes: readonly number[]
  /** The shape with one in the place of each of `axes`: that of the scales. */
  readonly reduced: readonly number[]
  /** How many weights share a scale. */
  readonly count: number
  readonly options: Options
  /** A scalar. */
  literal(value: number): string
  /** A value of one element for those that share a scale: `axes` stay as axes of one. */
  reduce(how: 'Mean' | 'Sum' | 'Max' | 'Min', value: string): string
  /**
   * A number for each scale that is trained with the weights, of the shape that `reduce` gives.
   * @param start from the weights that share the scale, before training; 0 where all of them are zero.
   */
  parameter(name: string, start: (weights: Float32Array) => number): string
  /** The same, but it stays as it is. */
  constant(name: string, start: (weights: Float32Array) => number): string
  /** Uniform in [0, 1), one a weight, new in each step; 1/2 outside of training. */
  noise(): string
}

/** How weights are trained while the network computes with their quantized values. */
export interface TrainedForm<Options> {
  /**
   * Appends the nodes that quantize the weight and returns the value, of the same shape, `espalier.StraightThrough`
   * where the gradient has to pass. What it computes is what `freeze` or the record's `quantize` gives.
   */
  forward(weight: LatentWeight<Options>): string
  /** Latent weights are clipped to it after each update. */
  readonly clip?: readonly [number, number]
  /**
   * What trained weights become; default: what the record's `quantize` says.
   * @param own the form's parameters and constants, by name, for the weights at hand.
   */
  freeze?(weights: Float32Array, own: ReadonlyMap<string, number>, options: Options): QuantizedWeights
}

/** A layer whose weights are trained, with the options that hold for it. */
export interface LayerToTrain<Options> {
  readonly layer: Layer
  readonly options: Options
}

/** What training made of one weight. */
export interface TrainedWeight {
  /** The latent weights. */
  readonly weights: Float32Array
  /** What the graph computed from them, in the same order. */
  readonly values: Float32Array
  /** The parameters and constants of the form: one entry a scale. */
  readonly own: ReadonlyMap<string, Float32Array>
}

export interface TrainedModel {
  /** The model of before with trained initializers; latent weights in the places of the weights. */
  readonly model: Model
  /** The graph that was trained, in float32. */
  readonly graph: Model
  readonly weights: ReadonlyMap<string, TrainedWeight>
}

type AnyOptions = GranularityOptions & Readonly<Record<string, unknown>>

/** Where a weight is in the graph that trains it. */
interface Place {
  readonly value: string
  /** The initializers of the form's parameters and constants, by the names that it gave them. */
  readonly own: ReadonlyMap<string, string>
  /** Those that are trained. */
  readonly parameters: readonly string[]
}

/**
 * Trains the network with the named layers' weights as their quantized form has them, and everything else that is
 * trained ordinarily. Parts of a weight that are all zero stay so.
 * @param held zeros that stay zero in training, by the name of the weight.
 * @throws UsageError when no gradient reaches one of the layers, or groups do not divide its inputs.
 */
export async function trainThrough(
  model: Model,
  layers: readonly LayerToTrain<AnyOptions>[],
  form: TrainedForm<AnyOptions>,
  { settings, held }: { readonly settings: Exclude<RetrainOption, false>; readonly held: Masks },
  context: Context,
): Promise<TrainedModel> {
  const wide = toFloat32Model(model)
  checkReached(
    wide,
    layers.map(({ layer }) => layer),
  )
  const draft = createDraft(wide)
  const places = new Map(layers.map((one) => [one.layer.weight, emitForm(draft, wide, one, form)]))
  const graph = draft.finish()
  const ofForms = [...places.values()].flatMap((place) => place.parameters)
  const parameters = [...new Set([...trainableParameters(wide), ...places.keys(), ...ofForms])]
  const further = form.clip || held.size > 0 ? { constraint: bounds(wide, form.clip, places, held) } : {}
  const trained = await retrain(graph, parameters, settings, context, 'retrain', further)
  const after = withNarrowedInitializers(graph, trained)
  const computed = await valuesOf(after, [...places.values()], context.engine)
  const weights = new Map(
    [...places].map(([name, { value, own }]) => [
      name,
      {
        weights: toFloat32(trained.get(name)!),
        values: computed.get(value)!,
        own: new Map([...own].map(([key, parameter]) => [key, toFloat32(trained.get(parameter)!)])),
      },
    ]),
  )
  return { model: withNarrowedInitializers(model, trained), graph: after, weights }
}

/** Puts the quantized value in the weight's place. */
function emitForm(draft: Draft, model: Model, one: LayerToTrain<AnyOptions>, form: TrainedForm<AnyOptions>): Place {
  const { weight } = one.layer
  const tensor = model.graph.initializers.get(weight)!
  const own = new Map<string, string>()
  const parameters: string[] = []
  const value = draft.interpose(weight, () => writeForm(draft, tensor, one, form, { own, parameters }))
  return { value, own, parameters }
}

/** Appends the nodes of a form and returns the value of the weight's shape; its parameters and constants are noted. */
function writeForm(
  draft: Draft,
  tensor: Tensor,
  { layer, options }: LayerToTrain<AnyOptions>,
  form: TrainedForm<AnyOptions>,
  { own, parameters }: { readonly own: Map<string, string>; readonly parameters: string[] },
): string {
  const layout = layoutOf(layer, tensor.shape, options) as Granularity
  const { latent, shape, axes } = spreadGroups(draft, layer, tensor.shape, layout)
  const reduced = shape.map((size, axis) => (axes.includes(axis) ? 1 : size))
  const initial = toFloat32(tensor)
  const parts = partsOf(layout, tensor.shape).map((at) => Float32Array.from(at, (i) => initial[i]))
  const isDead = parts.map((part) => part.every((value) => value === 0))
  const literals = new Map<number, string>()
  const literal = (value: number) => {
    if (!literals.has(value)) literals.set(value, draft.constant(`${layer.weight}.literal`, scalar('float32', value)))
    return literals.get(value)!
  }
  // With a single axis, so that no decay of weights takes them for weights.
  const oneAScale: LatentWeight<AnyOptions>['constant'] = (name, start) => {
    const values = Float32Array.from(parts, (part, p) => (isDead[p] ? 0 : start(part)))
    const flat = draft.constant(`${layer.weight}.${name}`, float32(values))
    own.set(name, flat)
    return draft.add('Reshape', [flat, draft.constant(`${flat}.shape`, int64(reduced))])
  }
  let axesName: string | undefined
  const found = form.forward({
    draft,
    latent,
    shape,
    axes,
    reduced,
    count: elementCount(shape) / parts.length,
    options,
    literal,
    reduce: (how, value) => {
      axesName ??= draft.constant(`${layer.weight}.axes`, int64(axes))
      return draft.add(`Reduce${how}`, [value, axesName], { keepdims: 1 })
    },
    constant: (name, start) => oneAScale(name, start),
    parameter: (name, start) => {
      const value = oneAScale(name, start)
      parameters.push(own.get(name)!)
      return value
    },
    noise: () => draft.add('espalier.Noise', [], { shape }),
  })
  const alive = isDead.includes(true) ? keepDead(draft, layer.weight, found, { isDead, reduced, literal }) : found
  if (latent === layer.weight) return alive
  return draft.add('Reshape', [alive, draft.constant(`${layer.weight}.shape`, int64(tensor.shape))])
}

/** What is all zero stays that: no gradient reaches it. */
function keepDead(
  draft: Draft,
  name: string,
  value: string,
  { isDead, reduced, literal }: Pick<LatentWeight<unknown>, 'reduced' | 'literal'> & { readonly isDead: boolean[] },
): string {
  const dead = draft.constant(`${name}.dead`, createTensor('bool', reduced, Uint8Array.from(isDead, Number)))
  return draft.add('Where', [dead, literal(0), value])
}

/** The weight with axes over which scales reach: with groups, the inputs become two axes. */
function spreadGroups(draft: Draft, layer: Layer, shape: readonly number[], layout: Granularity) {
  const all = [...shape.keys()]
  if (layout.kind !== 'block')
    return {
      latent: layer.weight,
      shape,
      axes: layout.kind === 'tensor' ? all : all.filter((at) => at !== layout.axis),
    }
  const { axis, size } = layout
  if (shape[axis] % size !== 0)
    throw new UsageError('group-size', `the ${shape[axis]} inputs of '${layer.name}' are no multiple of ${size}`, {
      place: layer.name,
      hint: 'Choose a groupSize that divides them, or set retrain: false.',
    })
  const spread = [...shape.slice(0, axis), shape[axis] / size, size, ...shape.slice(axis + 1)]
  const latent = draft.add('Reshape', [layer.weight, draft.constant(`${layer.weight}.groups`, int64(spread))])
  return { latent, shape: spread, axes: [axis + 1] }
}

/** What holds for weights after each update: the bounds of latent ones, and zeros that stay. */
function bounds(
  { graph }: Model,
  clip: TrainedForm<AnyOptions>['clip'],
  places: ReadonlyMap<string, Place>,
  held: Masks,
): Constraint {
  return (draft, parameter, value) => {
    const mask = held.get(parameter)
    const constant = mask && float32(mask, graph.initializers.get(parameter)!.shape)
    const kept = constant ? draft.add('Mul', [value, draft.constant(`${parameter}.held`, constant)]) : value
    if (!clip || !places.has(parameter)) return kept
    const ends = clip.map((bound) => draft.constant('bound', scalar('float32', bound)))
    return draft.add('Clip', [kept, ...ends])
  }
}

/** The values that the graph computes from initializers alone. */
async function valuesOf(
  graph: Model,
  places: readonly Place[],
  engine: Engine,
): Promise<ReadonlyMap<string, Float32Array>> {
  const draft = createDraft(graph)
  draft.inputs.length = draft.outputs.length = 0
  const outputs = places.map(({ value }) => draft.add('Identity', [value]))
  for (const output of outputs) draft.output(output, 'float32')
  const session = await engine.createSession(draft.finish(), { purpose: 'check' })
  try {
    const found = await session.run({}, outputs)
    return new Map(places.map(({ value }, i) => [value, toFloat32(found[outputs[i]])]))
  } finally {
    await session.close()
  }
}

interface PartToFreeze {
  readonly own: Float32Array
  /** Where they lie among all weights. */
  readonly places: Uint32Array
  readonly part: number
  readonly trained: TrainedWeight
  readonly options: AnyOptions
}

/**
 * The codes of trained weights that share a scale: those that the graph computed with, also where a weight lies so near
 * to a threshold that the rounding of sums decides.
 */
export function freeze(
  form: TrainedForm<AnyOptions>,
  quantize: (weights: Float32Array, options: AnyOptions) => QuantizedWeights,
  { own, places, part, trained, options }: PartToFreeze,
): QuantizedWeights {
  const parameters = new Map([...trained.own].map(([name, values]) => [name, values[part]]))
  const found = form.freeze?.(own, parameters, options) ?? quantize(own, options)
  const codes = found.codes.slice()
  const zero = 'levels' in found ? 0 : (found.zeroPoint ?? 0)
  const value = 'levels' in found ? (code: number) => found.levels[code] : (code: number) => (code - zero) * found.scale
  const choice = 'levels' in found ? [...found.levels.keys()] : [...new Set(codes)]
  let [moved, product, squares] = [false, 0, 0]
  for (const [i, place] of places.entries()) {
    const wanted = trained.values[place]
    const error = (code: number) => Math.abs(value(code) - wanted)
    if ('levels' in found || error(codes[i]) > found.scale / 2)
      codes[i] = choice.reduce((best, code) => (error(code) < error(best) ? code : best), codes[i])
    moved ||= codes[i] !== found.codes[i]
    product += wanted * (codes[i] - zero)
    squares += (codes[i] - zero) ** 2
  }
  if (!moved) return found
  return 'levels' in found
    ? { ...found, codes: Uint16Array.from(codes) }
    : { ...found, codes: Int16Array.from(codes), scale: product / squares }
}
