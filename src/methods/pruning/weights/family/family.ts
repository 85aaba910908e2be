import type { z } from 'zod'
import { ModelError, UnsupportedError } from '../../../../errors.ts'
import type { Model } from '../../../../ir/model.ts'
import type { Layer } from '../../../../ir/rewrite.ts'
import type { Paper } from '../../../../paper.ts'
import { fromFloat32 } from '../../../../tensor/half.ts'
import type { Tensor } from '../../../../tensor/tensor.ts'
import { chooseLayers } from '../../../layer-choice.ts'
import { defineMethod, type Context, type Method, type Need, type Sensitivity } from '../../../method.ts'
import { refitWeights } from '../../../refit.ts'
import { finiteWeights, isPlainFloat, withInitializers } from '../../../weights.ts'
import { masksOfZeros } from '../../../masks.ts'
import { parsePattern, unitsOf, type PatternKind, type Units } from './patterns.ts'
import { pruneInRounds } from '../../rounds.ts'
import { assertOneThreshold } from '../../scope.ts'
import { amountOf, assertSomethingStays, bestOf, maskOfRows, masksBelow, removedAt, type Scored } from './thresholds.ts'
import { pruningOptions, strengthened, type PruningOptions, type RefitOption, type WeightAmount } from './options.ts'
import { weightSensitivity } from './sensitivity.ts'

export type { PruningOptions } from './options.ts'

/** What a criterion prepares itself from, once a round. */
export interface LayersToPrepare<Options = PruningOptions> {
  /** The model as it is in this round. */
  readonly model: Model
  /** The layers that are pruned, one for each different weight. */
  readonly layers: readonly Layer[]
  readonly options: Options
  readonly context: Context
}

/** What a training before the choice of a round gets. */
export interface LayersToTrain<Options = PruningOptions> extends LayersToPrepare<Options> {
  /** From 1. */
  readonly round: number
  /** The model with zeros where this round would put them by the scores of the model's own weights. */
  project(model: Model): Promise<Model>
}

/** What a criterion sees of a layer. */
export interface WeightsToScore<Options = PruningOptions, Prepared = undefined> {
  readonly layer: Layer
  /** The weights, row-major in the layer's own layout. */
  readonly weight: Float32Array
  readonly shape: readonly number[]
  readonly model: Model
  readonly options: Options
  /** What `prepare` gave. */
  readonly prepared: Prepared
  readonly context: Context
}

/** A layer of which a method is to remove so many weights, in the way that it knows best. */
export interface LayerToPrune {
  readonly layer: Layer
  /** The weights, row-major in the layer's own layout. */
  readonly weight: Float32Array
  readonly shape: readonly number[]
  /** How many weights are to be zero afterwards, those included that are zero already; less than all. */
  readonly remove: number
}

export interface LayersToSelect<Options = PruningOptions, Prepared = undefined> {
  readonly model: Model
  readonly layers: readonly LayerToPrune[]
  readonly options: Options
  /** What `prepare` gave. */
  readonly prepared: Prepared
  readonly context: Context
}

type OptionsOf<Shape extends z.ZodRawShape> = PruningOptions & z.infer<z.ZodObject<Shape>>

interface PrunerFacts<Name extends string, Shape extends z.ZodRawShape, Prepared> {
  readonly name: Name
  readonly summary: string
  readonly paper: Paper
  readonly needs?: readonly Need[]
  /** Options of the criterion itself. */
  readonly options?: Shape
  /** What options of the family are where nothing is said, if the paper has it otherwise. */
  readonly defaults?: { readonly refit?: RefitOption }
  /** What all layers are scored with: calibration, gradients. Called once a round. */
  prepare?(input: LayersToPrepare<OptionsOf<Shape>>): Promise<Prepared> | Prepared
}

interface ByScore<Shape extends z.ZodRawShape, Prepared> {
  /**
   * A new array with one score a weight, finite and not negative; larger is kept. The family takes the scores of weights
   * that are zero as zero. Undefined leaves the layer as it is; the criterion says why by `context.skip`.
   */
  score(
    weights: WeightsToScore<OptionsOf<Shape>, Prepared>,
  ): Float32Array | undefined | Promise<Float32Array | undefined>
  /** A training that precedes the choice of each round and leads the weights towards it. */
  train?(input: LayersToTrain<OptionsOf<Shape>>): Promise<Model>
  readonly select?: undefined
}

interface BySelection<Shape extends z.ZodRawShape, Prepared> {
  /** The new values of layers, by the name of the weight, in its layout: zeros are what is removed. */
  select(input: LayersToSelect<OptionsOf<Shape>, Prepared>): Promise<ReadonlyMap<string, Float32Array>>
  /** Patterns that the selection respects besides 'unstructured'. */
  readonly patterns?: readonly PatternKind[]
  readonly score?: undefined
  readonly train?: undefined
}

/** A method that sets single weights to zero: it scores them, or it selects them itself. */
export type WeightPruner<Name extends string, Shape extends z.ZodRawShape = {}, Prepared = undefined> = PrunerFacts<
  Name,
  Shape,
  Prepared
> &
  (ByScore<Shape, Prepared> | BySelection<Shape, Prepared>)

type AnyPruner = WeightPruner<string, z.ZodRawShape, unknown>
type AnyOptions = OptionsOf<z.ZodRawShape>

/**
 * Makes the record of a method that sets single weights to zero. The family chooses layers, amounts and patterns, refits
 * what is left by least squares where that is asked for, and retrains it under a fixed mask; `score` says which weights
 * matter, or `select` removes a number of them itself. In the result the weights are plain initializers with zeros: the
 * shape of the network does not change, and only a sparse format gets smaller by it.
 *
 * A layer never loses all of its weights: the best stays, and the report says so.
 */
export function defineWeightPruner<const Name extends string, Shape extends z.ZodRawShape = {}, Prepared = undefined>(
  pruner: WeightPruner<Name, Shape, Prepared>,
): Method<Name, PruningOptions> {
  const any = pruner as unknown as AnyPruner
  return defineMethod({
    name: pruner.name,
    family: 'pruning',
    summary: pruner.summary,
    paper: pruner.paper,
    needs: pruner.needs ?? [],
    options: pruningOptions(pruner.options, pruner.defaults?.refit),
    strength: strengthened,
    removes: 'weights',
    apply: (model, options, context) => prune(model, any, options, context),
    sensitivity: (model, options, context) =>
      sensitivityOf(any, { model, options, context, ...choose(model, any, options, context) }),
  })
}

async function prune(model: Model, pruner: AnyPruner, options: PruningOptions, outer: Context): Promise<Model> {
  const context = tellingOnce(outer)
  const { layers, units } = choose(model, pruner, options, context)
  const start = { model, layers, units, options: options as AnyOptions, context }
  const alone = options.maxLoss === undefined ? undefined : await sharesAlone(pruner, start)
  const amount = (layer: Layer) => amountOf(options, layer, model, alone ? { sparsity: alone.get(layer) } : options)
  return pruneInRounds(model, options, context, async (current, t) => {
    const roundOf = async (at: Model): Promise<Round> => {
      const input = { model: at, layers, options: options as AnyOptions, context }
      return { ...input, prepared: await pruner.prepare?.(input), units, t, amount }
    }
    const project = async (at: Model) => scored(pruner, await roundOf(at))
    const number = Math.round(t * options.rounds)
    const trained = await pruner.train?.({ ...start, model: current, round: number, project })
    const round = await roundOf(trained ?? current)
    const pruned = await removed(pruner, round)
    if (options.refit === false) return pruned
    return refitWeights(round.model, masksOfZeros(pruned, layers), context, options.refit)
  })
}

/** The layers to prune, and the sets of their weights where there is a pattern. */
function choose(
  model: Model,
  pruner: AnyPruner,
  options: PruningOptions,
  context: Context,
): Pick<Round, 'layers' | 'units'> {
  const units = new Map<string, Units>()
  const layers = chooseLayers(model, options, context).filter((layer) => suits(layer, model, options, context, units))
  assertOneThreshold(options)
  assertPattern(pruner, options)
  assertSomethingStays(layers, options, model)
  for (const { weight } of layers) finiteWeights(weight, model.graph.initializers.get(weight)!)
  return { layers, units }
}

type Start = LayersToPrepare<AnyOptions> & Pick<Round, 'units'>

/** What each layer loses when it alone is pruned. */
async function sensitivityOf(pruner: AnyPruner, start: Start): Promise<Sensitivity> {
  const prepared = await pruner.prepare?.(start)
  return weightSensitivity({
    ...start,
    async without(layer, sparsity) {
      const options = { ...start.options, scope: 'layer' as const }
      const alone = { ...start, options, prepared, layers: [layer], t: 1, amount: () => ({ sparsity }) }
      return (await removed(pruner, alone)).graph.initializers.get(layer.weight)!
    },
  })
}

/** The share that each layer can give up alone. */
async function sharesAlone(pruner: AnyPruner, start: Start): Promise<ReadonlyMap<Layer, number>> {
  const found = await sensitivityOf(pruner, start)
  start.context.sensitivity?.(found)
  const shares = found.curves.map(({ chosen = 0, size, points }, i) => {
    const least = Math.round((points[1]?.at ?? 0) * size)
    const why = `without ${least} of its ${size} weights the model loses more than ${found.maxLoss} points`
    if (chosen === 0) start.context.skip(start.layers[i].name, why)
    return [start.layers[i], chosen] as const
  })
  return new Map(shares)
}

/** Whether a layer can be pruned; what cannot is reported. */
function suits(
  layer: Layer,
  model: Model,
  options: PruningOptions,
  context: Context,
  units: Map<string, Units>,
): boolean {
  if (!isPlainFloat(model, layer)) {
    context.skip(layer.name, 'its weights are not plain floats: they were shared or quantized before')
    return false
  }
  const pattern = parsePattern(options.pattern)
  const own = pattern && unitsOf(model, layer, pattern)
  if (own) units.set(layer.weight, own)
  else if (pattern)
    context.skip(layer.name, `the pattern '${options.pattern}' needs inputs, which a Reshape hides here`)
  return pattern === undefined || own !== undefined
}

/** @throws UnsupportedError when a method that selects weights itself does not respect the pattern. */
function assertPattern(pruner: AnyPruner, options: PruningOptions): void {
  const kind = parsePattern(options.pattern)?.kind
  if (kind === undefined || !pruner.select || pruner.patterns?.includes(kind)) return
  throw new UnsupportedError('pattern', `'${pruner.name}' selects weights itself, and not by '${options.pattern}'`, {
    place: 'pattern',
    hint: 'Use unstructured, or a criterion that scores weights, such as magnitude.',
  })
}

/** Each round finds again what is left alone; the report needs it once. */
function tellingOnce(context: Context): Context {
  const told = new Set<string>()
  return {
    ...context,
    skip(layer, reason) {
      const line = JSON.stringify([layer, reason])
      if (!told.has(line)) context.skip(layer, reason)
      told.add(line)
    },
  }
}

interface Round extends LayersToPrepare<AnyOptions> {
  readonly prepared: unknown
  /** By weight, where there is a pattern. */
  readonly units: ReadonlyMap<string, Units>
  readonly t: number
  amount(layer: Layer): WeightAmount
}

/** The model without what a round removes. */
async function removed(pruner: AnyPruner, round: Round): Promise<Model> {
  return pruner.select ? selected(pruner.select, round) : scored(pruner, round)
}

/** A round of a method that scores: the model with zeros. */
async function scored(pruner: AnyPruner, round: Round): Promise<Model> {
  const { model, layers, options } = round
  const replaced = new Map<string, Tensor>()
  const waiting: ScoredLayer[] = []
  for (const layer of layers) {
    const found = await scoresOf(layer, pruner, round)
    if (!found) continue
    if (options.scope === 'global') {
      waiting.push(found)
      continue
    }
    const { weight, scores, units } = found
    const best = bestOf(found)
    const share = removedAt([weight], round.amount(layer), { ...options, t: round.t }) / weight.length
    const mask = units?.keep
      ? maskOfRows(scores, { ...units, keep: units.keep }, { ...options, t: round.t })
      : masksBelow([found], share)[0]
    replaced.set(layer.weight, keptOf(found, mask, best, round))
  }
  if (waiting.length > 0) {
    const weights = waiting.map(({ weight }) => weight)
    const size = weights.reduce((sum, { length }) => sum + length, 0)
    const best = waiting.map(bestOf)
    const masks = masksBelow(waiting, removedAt(weights, options, { ...options, t: round.t }) / size)
    for (const [i, found] of waiting.entries())
      replaced.set(found.layer.weight, keptOf(found, masks[i], best[i], round))
  }
  return withInitializers(model, replaced)
}

/**
 * The weights that the mask keeps, and the best where it keeps none. They are written over the mask: a large model has no
 * room for both.
 */
function keptOf(
  { layer, weight }: ScoredLayer,
  mask: Float32Array,
  best: readonly number[],
  { model, context, t }: Round,
): Tensor {
  if (mask.length > 0 && !mask.includes(1)) {
    if (t === 1) context.skip(layer.name, 'all of its weights were to go: the best stays')
    for (const place of best) mask[place] = 1
  }
  for (let i = 0; i < mask.length; i++) if (mask[i] !== 0) mask[i] = weight[i]
  const { dtype, shape } = model.graph.initializers.get(layer.weight)!
  return fromFloat32(dtype, shape, mask)
}

interface ScoredLayer extends Scored {
  readonly layer: Layer
  readonly weight: Float32Array
}

/** @throws ModelError when a score is no number, or negative. */
async function scoresOf(
  layer: Layer,
  pruner: AnyPruner,
  { model, options, prepared, units, context }: Round,
): Promise<ScoredLayer | undefined> {
  context.signal?.throwIfAborted()
  const tensor = model.graph.initializers.get(layer.weight)!
  const weight = finiteWeights(layer.weight, tensor)
  const scores = await pruner.score!({ layer, weight, shape: tensor.shape, model, options, prepared, context })
  if (!scores) return undefined
  for (let i = 0; i < scores.length; i++) {
    if (!(scores[i] >= 0 && scores[i] < Number.POSITIVE_INFINITY))
      throw new ModelError(
        'score-not-finite',
        `'${pruner.name}' scores a weight of '${layer.name}' with ${scores[i]}`,
        {
          place: layer.name,
          hint: 'Exclude the layer, or look what its weights and its data are.',
        },
      )
    if (weight[i] === 0) scores[i] = 0
  }
  return { layer, weight, scores, units: units.get(layer.weight) }
}

/** A round of a method that removes weights itself. */
async function selected(select: NonNullable<AnyPruner['select']>, round: Round): Promise<Model> {
  const { model, layers, units, options, t } = round
  const toPrune = layers.map((layer): LayerToPrune => {
    const tensor = model.graph.initializers.get(layer.weight)!
    const weight = finiteWeights(layer.weight, tensor)
    const keep = units.get(layer.weight)?.keep
    const remove = keep
      ? weight.length - keep.reduce((sum, stays) => sum + stays, 0)
      : removedAt([weight], round.amount(layer), { ...options, t })
    return { layer, weight, shape: tensor.shape, remove: Math.min(remove, weight.length - 1) }
  })
  const replaced = new Map<string, Tensor>()
  for (const [name, values] of await select({ ...round, layers: toPrune })) {
    const { dtype, shape } = model.graph.initializers.get(name)!
    replaced.set(name, fromFloat32(dtype, shape, values))
  }
  return withInitializers(model, replaced)
}
