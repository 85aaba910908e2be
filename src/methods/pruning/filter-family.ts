import { z } from 'zod'
import { ModelError } from '../../errors.ts'
import { channelGroups, type ChannelGroup } from '../../ir/channel-groups.ts'
import { cutChannels } from '../../ir/cut.ts'
import type { Model } from '../../ir/model.ts'
import type { Layer } from '../../ir/rewrite.ts'
import type { Paper } from '../../paper.ts'
import { defineMethod, type Context, type Method, type Need } from '../method.ts'
import { finiteWeights } from '../weights.ts'
import { createCutProof, type CutProof } from './cut-proof.ts'
import { chosenGroups, filterAmountOptions, plannedTotal, planLayers, wholePart } from './filter-ratios.ts'
import { pruneInRounds, retrainedBetween, roundOptions, sparsitySchedules } from './rounds.ts'
import { assertOneThreshold, scopeOption } from './scope.ts'

/** The options of every filter pruner. */
const filterOptions = {
  ...filterAmountOptions,
  scope: scopeOption,
  strategy: z
    .enum(['independent', 'greedy'])
    .default('independent')
    .describe('greedy: what a filter reads of channels that are already removed does not count'),
  combine: z
    .enum(['sum', 'max'])
    .default('sum')
    .describe('the score of a channel that several layers make, from its scores in each'),
  ...roundOptions,
}

export type FilterOptions = z.infer<z.ZodObject<typeof filterOptions>>

/** What a criterion sees of a layer that makes channels. */
export interface FiltersToScore<Options = unknown> {
  readonly layer: Layer
  /** The weights, row-major in the layer's own layout. */
  readonly weight: Float32Array
  readonly shape: readonly number[]
  /** The axis of `shape` along which the filters lie. */
  readonly outAxis: number
  /** The channels that the layer makes, who else makes them and who reads them. */
  readonly group: ChannelGroup
  /** The model as it is: with the strategy 'greedy' without the channels that are already removed. */
  readonly model: Model
  readonly options: Options
  readonly context: Context
}

export interface FilterPruner<Name extends string, Shape extends z.ZodRawShape> {
  readonly name: Name
  readonly summary: string
  readonly paper: Paper
  readonly needs?: readonly Need[]
  /** Options of the criterion itself. */
  readonly options?: Shape
  /** One finite score a filter, [out, in, ...kernel] -> [out]; larger is kept. */
  score(filters: FiltersToScore<z.infer<z.ZodObject<Shape>>>): ArrayLike<number> | Promise<ArrayLike<number>>
}

type AnyPruner = FilterPruner<string, z.ZodRawShape>

/**
 * Makes the record of a method that removes whole filters, and with them the channels of every layer that reads them. The
 * result is a smaller dense network. Channels that several layers make, because a residual connection adds them or a
 * depthwise convolution passes them on, stay or go together by their combined scores. After each cut the smaller model is
 * compared with the one in which the removed channels are multiplied by zero, before it is retrained.
 *
 * With scope: global the scores of a group are divided by their root mean square, so that layers can be compared.
 */
export function defineFilterPruner<const Name extends string, Shape extends z.ZodRawShape = {}>(
  pruner: FilterPruner<Name, Shape>,
): Method<Name, FilterOptions> {
  return defineMethod({
    name: pruner.name,
    family: 'pruning',
    summary: pruner.summary,
    paper: pruner.paper,
    needs: pruner.needs ?? [],
    options: z
      .strictObject({ ...filterOptions, ...pruner.options })
      .refine((options) => options.ratio === undefined || options.keep === undefined, {
        message: 'ratio and keep exclude each other',
        path: ['keep'],
      })
      .refine((options) => options.scope === 'layer' || options.keep === undefined, {
        message: 'with scope: global a ratio says how many filters of all layers go',
        path: ['keep'],
      })
      .refine((options) => options.scope === 'layer' || options.strategy === 'independent', {
        message: 'greedy goes from layer to layer, and scope: global looks at all at once',
        path: ['strategy'],
      })
      .refine(...retrainedBetween),
    strength: (options, strength) => ({ ...options, strength: options.strength * strength }),
    apply: (model, options, context) => prune(model, pruner as unknown as AnyPruner, options, context),
  })
}

async function prune(model: Model, pruner: AnyPruner, options: FilterOptions, context: Context): Promise<Model> {
  assertOneThreshold(options)
  const groups = chosenGroups(model, options, context)
  const choose =
    options.scope === 'global' ? globalChoice(groups, options) : layerChoice(groups, model, options, context)
  const proof = createCutProof(pruner.name, context)
  const result = await pruneInRounds(model, options, context, async (current, t) => ({
    model: await cutRound(current, await choose(current, t, pruner, context), proof),
    masks: new Map(),
  }))
  const check = proof.check()
  if (check) context.proved?.(check)
  return result
}

async function cutRound(
  current: Model,
  removals: ReadonlyMap<string, readonly number[]>,
  proof: CutProof,
): Promise<Model> {
  if (removals.size === 0) return current
  const cut = cutChannels(current, removals)
  await proof.compare(current, removals, cut)
  return cut
}

/** The channels to remove at time t, by the id of their group. */
type Choice = (
  current: Model,
  t: number,
  pruner: AnyPruner,
  context: Context,
) => Promise<ReadonlyMap<string, readonly number[]>>

function layerChoice(groups: readonly ChannelGroup[], model: Model, options: FilterOptions, context: Context): Choice {
  const plan = planLayers(groups, model, options, context)
  const grow = sparsitySchedules[options.schedule]
  return async (current, t, pruner) => {
    const removals = new Map<string, readonly number[]>()
    let seen = { model: current, groups: groupsById(current) }
    for (const { id, size, remove } of plan) {
      const group = seen.groups.get(id)!
      const left = size - wholePart(grow(remove / size, t) * size)
      if (left >= group.size) continue
      const scores = await scoresOf(group, seen.model, pruner, options, context)
      removals.set(id, lowest(scores, group.size - left))
      if (options.strategy === 'greedy') {
        const cut = cutChannels(current, removals)
        seen = { model: cut, groups: groupsById(cut) }
      }
    }
    return removals
  }
}

function globalChoice(groups: readonly ChannelGroup[], options: FilterOptions): Choice {
  const size = groups.reduce((sum, group) => sum + group.size, 0)
  const total = plannedTotal(groups, options)
  const grow = sparsitySchedules[options.schedule]
  return async (current, t, pruner, context) => {
    const byId = groupsById(current)
    const ranked: { id: string; channel: number; score: number }[] = []
    for (const { id } of groups) {
      const scores = await scoresOf(byId.get(id)!, current, pruner, options, context)
      const typical = Math.sqrt(scores.reduce((sum, score) => sum + score * score, 0) / scores.length)
      for (const [channel, score] of scores.entries())
        ranked.push({ id, channel, score: typical === 0 ? 0 : score / typical })
    }
    let wanted = ranked.length - (size - wholePart(grow(total / size, t) * size))
    const removals = new Map<string, number[]>()
    for (const { id, channel } of ranked.toSorted((a, b) => a.score - b.score)) {
      if (wanted <= 0) break
      const own = removals.get(id) ?? []
      if (own.length + 1 >= byId.get(id)!.size) continue
      removals.set(id, [...own, channel])
      wanted--
    }
    return removals
  }
}

function groupsById(model: Model): ReadonlyMap<string, ChannelGroup> {
  return new Map(channelGroups(model).map((group) => [group.id, group]))
}

/** One score a channel: those of its filters added up, combined over the layers that make it. */
async function scoresOf(
  group: ChannelGroup,
  model: Model,
  pruner: AnyPruner,
  options: FilterOptions,
  context: Context,
): Promise<Float64Array> {
  const scores = new Float64Array(group.size)
  for (const [position, { layer, places }] of group.producers.entries()) {
    context.signal?.throwIfAborted()
    const tensor = model.graph.initializers.get(layer.weight)!
    const weight = finiteWeights(layer.weight, tensor)
    const outAxis = layer.outAxis!
    const filters = { layer, weight, shape: tensor.shape, outAxis, group, model, options, context }
    const own = await pruner.score(filters)
    for (const [channel, filtersOfChannel] of places.entries()) {
      const score = filtersOfChannel.reduce((sum, place) => sum + own[place], 0)
      if (!Number.isFinite(score))
        throw new ModelError('score-not-finite', `'${pruner.name}' scores a filter of '${layer.name}' with ${score}`, {
          place: layer.name,
          hint: 'Exclude the layer, or look what its weights and its data are.',
        })
      const before = position === 0 ? score : scores[channel]
      scores[channel] = options.combine === 'max' ? Math.max(before, score) : scores[channel] + score
    }
  }
  return scores
}

/** The channels with the lowest scores, of equal ones the first, in ascending order. */
function lowest(scores: Float64Array, count: number): number[] {
  const order = Array.from(scores.keys()).toSorted((a, b) => scores[a] - scores[b])
  return order.slice(0, count).toSorted((a, b) => a - b)
}
