import { z } from 'zod'
import { ModelError } from '../../errors.ts'
import type { Model } from '../../ir/model.ts'
import type { Layer } from '../../ir/rewrite.ts'
import type { Paper } from '../../paper.ts'
import { fromFloat32 } from '../../tensor/half.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import { chooseLayers, layerChoiceOptions, layerOverrides } from '../layer-choice.ts'
import { defineMethod, type Context, type Method, type Need } from '../method.ts'
import { finiteWeights, isPlainFloat, withInitializers } from '../weights.ts'
import { withMasksApplied } from './masks.ts'
import { hasOwnAmount, parsePattern, patternOption, unitsOf, type PatternKind, type Units } from './patterns.ts'
import { pruneInRounds, retrainedBetween, roundOptions, type Pruned } from './rounds.ts'
import { assertOneThreshold, scopeOption } from './scope.ts'
import {
  amountOf,
  assertSomethingStays,
  masksWithin,
  weightAmountOptions,
  removedAt,
  strengthened,
  type ScoredLayer,
} from './weight-amounts.ts'

/** How what is left of a layer is refitted to what the layer computed before. */
const refitOption = z
  .union([
    z.literal(false),
    z.strictObject({
      samples: z.number().int().min(1).max(1_000_000).default(512).describe('examples of the training data to look at'),
      damping: z
        .number()
        .min(0)
        .max(1)
        .default(0.01)
        .describe('share of the mean second moment that is added to each: keeps weights small where inputs agree'),
    }),
  ])
  .describe('least squares of the weights that stay, on calibration data, before any retraining; false for none')

/** The options of every weight pruner. */
const pruningOptions = {
  ...weightAmountOptions,
  scope: scopeOption,
  pattern: patternOption,
  refit: refitOption.default(false),
  ...roundOptions,
  ...layerChoiceOptions,
  layers: layerOverrides(weightAmountOptions),
}

export type PruningOptions = z.infer<z.ZodObject<typeof pruningOptions>>

/** What a criterion prepares itself from, once a round. */
export interface LayersToPrepare<Options = PruningOptions> {
  readonly model: Model
  /** The layers that are pruned, one for each different weight. */
  readonly layers: readonly Layer[]
  readonly options: Options
  readonly context: Context
}

/** What a criterion sees of a layer. */
export interface WeightsToScore<Options = PruningOptions, Prepared = undefined> {
  readonly layer: Layer
  /** The weights, row-major in the layer's own layout. */
  readonly weight: Float32Array
  readonly shape: readonly number[]
  /** The model as it is in this round. */
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

interface WeightPrunerBase<Name extends string, Shape extends z.ZodRawShape, Prepared> {
  readonly name: Name
  readonly summary: string
  readonly paper: Paper
  readonly needs?: readonly Need[]
  /** Options of the criterion itself. */
  readonly options?: Shape
  /** What options of the family are where nothing is said, if the paper has it otherwise. */
  readonly defaults?: { readonly refit?: z.input<typeof refitOption> }
  /** What all layers are scored with: calibration, gradients. Called once a round. */
  prepare?(input: LayersToPrepare<OptionsOf<Shape>>): Promise<Prepared> | Prepared
}

type OptionsOf<Shape extends z.ZodRawShape> = PruningOptions & z.infer<z.ZodObject<Shape>>

interface ByScore<Shape extends z.ZodRawShape, Prepared> {
  /**
   * A new array with one score a weight, finite and not negative; larger is kept. The family takes the scores of weights
   * that are zero as zero.
   */
  score(weights: WeightsToScore<OptionsOf<Shape>, Prepared>): Float32Array | Promise<Float32Array>
  readonly select?: undefined
}

interface BySelection<Shape extends z.ZodRawShape, Prepared> {
  /** The new values of each layer, by the name of its weight, in its layout: zeros are what is removed. */
  select(input: LayersToSelect<OptionsOf<Shape>, Prepared>): Promise<ReadonlyMap<string, Float32Array>>
  /** Patterns that the selection respects besides 'unstructured'. */
  readonly patterns?: readonly PatternKind[]
  readonly score?: undefined
}

/** A method that sets single weights to zero: it scores them, or selects them itself. */
export type WeightPruner<
  Name extends string,
  Shape extends z.ZodRawShape = {},
  Prepared = undefined,
> = WeightPrunerBase<Name, Shape, Prepared> & (ByScore<Shape, Prepared> | BySelection<Shape, Prepared>)

type AnyPruner = WeightPruner<string, z.ZodRawShape, unknown>

/**
 * Makes the record of a method that sets single weights to zero. The family chooses layers, amounts and patterns, refits
 * what is left by least squares where that is asked for, and retrains it under a fixed mask; `score` says which weights
 * matter, or `select` removes a number of them itself. In the result the weights are plain initializers with zeros: the
 * shape of the network does not change, and only a sparse format gets smaller by it.
 *
 * A layer never loses all of its weights: the one with the largest score stays, and the report says so.
 */
export function defineWeightPruner<const Name extends string, Shape extends z.ZodRawShape = {}, Prepared = undefined>(
  pruner: WeightPruner<Name, Shape, Prepared>,
): Method<Name, PruningOptions> {
  const known: readonly PatternKind[] = pruner.select ? (pruner.patterns ?? []) : ['n-of-m', 'block']
  return defineMethod({
    name: pruner.name,
    family: 'pruning',
    summary: pruner.summary,
    paper: pruner.paper,
    needs: pruner.needs ?? [],
    options: z
      .strictObject({
        ...pruningOptions,
        refit: refitOption.default(refitOption.parse(pruner.defaults?.refit ?? false)),
        ...pruner.options,
      })
      .refine((options) => options.sparsity === undefined || options.quality === undefined, {
        message: 'sparsity and quality exclude each other',
        path: ['quality'],
      })
      .refine((options) => parsePattern(options.pattern)?.kind !== 'n-of-m' || !hasOwnAmount(options), {
        message: 'a pattern N:M says itself how many weights go: it goes with neither sparsity nor quality',
        path: ['pattern'],
      })
      .refine((options) => parsePattern(options.pattern)?.kind !== 'n-of-m' || options.scope === 'layer', {
        message: 'a pattern N:M holds in each row: it needs scope: layer',
        path: ['scope'],
      })
      .refine(
        ({ pattern }) => {
          const kind = parsePattern(pattern)?.kind
          return kind === undefined || known.includes(kind)
        },
        { message: `${pruner.name} does not know this pattern`, path: ['pattern'] },
      )
      .refine(...retrainedBetween),
    strength: strengthened,
    apply: (model, options, context) => prune(model, pruner as unknown as AnyPruner, options, context),
  })
}

async function prune(model: Model, pruner: AnyPruner, options: PruningOptions, context: Context): Promise<Model> {
  const pattern = parsePattern(options.pattern)
  const units = new Map<string, Units>()
  const chosen = chooseLayers(model, options, context).filter((layer) => {
    if (!isPlainFloat(model, layer)) {
      context.skip(layer.name, 'its weights are not plain floats: they were shared or quantized before')
      return false
    }
    if (!pattern) return true
    const own = unitsOf(model, layer, pattern)
    if (own) units.set(layer.weight, own)
    else context.skip(layer.name, `the pattern ${options.pattern} needs rows of inputs, which a Reshape hides here`)
    return own !== undefined
  })
  assertOneThreshold(options)
  assertSomethingStays(chosen, options, model)
  return pruneInRounds(model, options, context, async (current, t) => {
    const input = { model: current, layers: chosen, options: options as OptionsOf<z.ZodRawShape>, context }
    const prepared = await pruner.prepare?.(input)
    return pruner.select
      ? await selected(current, pruner.select, { ...input, prepared, units }, t)
      : await masked(current, pruner, { ...input, prepared, units }, t)
  })
}

interface Round extends LayersToPrepare<OptionsOf<z.ZodRawShape>> {
  readonly prepared: unknown
  /** By weight, where there is a pattern. */
  readonly units: ReadonlyMap<string, Units>
}

/** A round of a method that scores. */
async function masked(current: Model, pruner: AnyPruner, round: Round, t: number): Promise<Pruned> {
  const { layers, units, options, prepared, context } = round
  const scored: ScoredLayer[] = []
  for (const layer of layers) {
    context.signal?.throwIfAborted()
    const tensor = current.graph.initializers.get(layer.weight)!
    const weight = finiteWeights(layer.weight, tensor)
    const toScore = { layer, weight, shape: tensor.shape, model: current, options, prepared, context }
    const scores = await pruner.score!(toScore)
    checkScores(scores, weight, pruner.name, layer)
    scored.push({ layer, weight, scores, units: units.get(layer.weight) })
  }
  const masks = masksWithin(scored, options, current, t, context)
  return { model: withMasksApplied(current, masks), masks }
}

/** A round of a method that removes weights itself. */
async function selected(current: Model, select: NonNullable<AnyPruner['select']>, round: Round, t: number) {
  const { layers, units, options, context } = round
  const toPrune = layers.map((layer): LayerToPrune => {
    const tensor = current.graph.initializers.get(layer.weight)!
    const weight = finiteWeights(layer.weight, tensor)
    const remove = removedAt(weight, amountOf(options, layer, current), t, options.schedule, units.get(layer.weight))
    return { layer, weight, shape: tensor.shape, remove: Math.min(remove, weight.length - 1) }
  })
  const found = await select({ ...round, layers: toPrune, context })
  const masks = new Map<string, Float32Array>()
  const replaced = new Map<string, Tensor>()
  for (const [name, values] of found) {
    const { dtype, shape } = current.graph.initializers.get(name)!
    masks.set(
      name,
      values.map((value) => (value === 0 ? 0 : 1)),
    )
    replaced.set(name, fromFloat32(dtype, shape, values))
  }
  return { model: withInitializers(current, replaced), masks }
}

/** Sets the scores of weights that are zero to zero. @throws ModelError when a score is none. */
function checkScores(scores: Float32Array, weight: Float32Array, criterion: string, layer: Layer): void {
  for (let i = 0; i < scores.length; i++) {
    if (!(scores[i] >= 0 && scores[i] < Number.POSITIVE_INFINITY))
      throw new ModelError('score-not-finite', `'${criterion}' scores a weight of '${layer.name}' with ${scores[i]}`, {
        place: layer.name,
        hint: 'Exclude the layer, or look what its weights and its data are.',
      })
    if (weight[i] === 0) scores[i] = 0
  }
}
