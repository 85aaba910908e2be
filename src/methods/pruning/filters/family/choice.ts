/** Which channels go in a round: by scores layer by layer, by one threshold for all, or as the criterion selects them. */
import type { z } from 'zod'
import { ModelError } from '../../../../errors.ts'
import { channelGroups, type ChannelGroup } from '../../../../ir/channel-groups.ts'
import { cutChannels } from '../../../../ir/cut.ts'
import type { Model } from '../../../../ir/model.ts'
import type { Layer } from '../../../../ir/rewrite.ts'
import type { Context, Sensitivity } from '../../../method.ts'
import { finiteWeights } from '../../../weights.ts'
import type { FilterOptions } from './family.ts'
import { fewestForMacs } from './macs.ts'
import type { FilterPruner, ScoringPruner } from './pruner.ts'
import { plannedTotal, planLayers, shareOf, stayingOf, wholePart } from './ratios.ts'
import { sparsitySchedules } from '../../rounds.ts'

/** A pruner whose own options and preparations only it knows. */
export type AnyPruner = FilterPruner<string, z.ZodRawShape, unknown>
type AnyScoring = ScoringPruner<string, z.ZodRawShape, unknown>

/** The channels that go. */
export type ChosenChannels = ReadonlyMap<string, readonly number[]>

/** The channels to remove at time t, by the id of their group. */
export type Choice = (current: Model, t: number) => Promise<ChosenChannels>

/** What a choice is made from. */
export interface Chooser<Pruner = AnyPruner> {
  readonly pruner: Pruner
  /** The groups of the model before the first round. */
  readonly groups: readonly ChannelGroup[]
  readonly model: Model
  readonly options: FilterOptions
  readonly context: Context
  /** What each layer can give up alone, where that decides. */
  readonly sensitivity?: Sensitivity | undefined
}

/** Layer by layer: each has a number of channels that go. */
export function layerChoice({ pruner, groups, model, options, context, sensitivity }: Chooser): Choice {
  const plan = planLayers(groups, model, options, context, sensitivity)
  const grow = sparsitySchedules[options.schedule]
  return async (current, t) => {
    const now = groupsById(current)
    const due = plan.flatMap(({ id, size, remove }) => {
      const left = stayingOf(size - wholePart(grow(remove / size, t) * size), size, options.multiple)
      const group = now.get(id)!
      return left >= group.size ? [] : [{ group, remove: group.size - left }]
    })
    if (due.length === 0) return new Map()
    if (pruner.select) return pruner.select({ model: current, plan: due, options, context })
    const removals = new Map<string, readonly number[]>()
    const dueGroups = due.map(({ group }) => group)
    if (options.strategy === 'independent') {
      const scores = await scoresOf(dueGroups, current, { pruner, options, context })
      for (const [i, { group, remove }] of due.entries()) removals.set(group.id, lowest(scores[i], remove))
      return removals
    }
    let [seen, seenGroups] = [current, now]
    for (const { group, remove } of due) {
      const [scores] = await scoresOf([seenGroups.get(group.id)!], seen, { pruner, options, context })
      removals.set(group.id, lowest(scores, remove))
      seen = cutChannels(current, removals)
      seenGroups = groupsById(seen)
    }
    return removals
  }
}

/** One threshold for all layers, on scores that are scaled so that they can be compared. */
export function globalChoice({ pruner, groups, model, options, context }: Chooser<AnyScoring>): Choice {
  const size = groups.reduce((sum, group) => sum + group.size, 0)
  const total = plannedTotal(groups, options)
  const grow = sparsitySchedules[options.schedule]
  const scale = scales[pruner.scale ?? 'rms']
  return async (current, t) => {
    const byId = groupsById(current)
    const present = groups.map(({ id }) => byId.get(id)!)
    const scores = await scoresOf(present, current, { pruner, options, context })
    const ranked = present
      .flatMap((group, i) => {
        const typical = scale(scores[i])
        return Array.from(scores[i], (score, channel) => ({ group, channel, score: typical ? score / typical : 0 }))
      })
      .sort((a, b) => a.score - b.score)
    const removalsAt = (count: number) => lowestOfAll(ranked, count, options.multiple)
    if (options.macs === undefined) return removalsAt(ranked.length - (size - wholePart(grow(total / size, t) * size)))
    const share = grow(shareOf(options.macs, options.strength), t)
    const steps = ranked.length - groups.length + 1
    return removalsAt(fewestForMacs(model, share, { cutFrom: current, count: steps, removalsAt }))
  }
}

const scales = {
  rms: (scores: Float64Array) => Math.sqrt(sumOfSquares(scores) / scores.length),
  l2: (scores: Float64Array) => Math.sqrt(sumOfSquares(scores)),
  none: () => 1,
}

function sumOfSquares(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value * value, 0)
}

interface Ranked {
  readonly group: ChannelGroup
  readonly channel: number
}

/** The first `count` of the ranked channels, but one of each group stays, and of each as many as `multiple` asks for. */
function lowestOfAll(ranked: readonly Ranked[], count: number, multiple: number): Map<string, number[]> {
  const chosen = new Map<ChannelGroup, number[]>()
  let wanted = count
  for (const { group, channel } of ranked) {
    if (wanted <= 0) break
    const own = chosen.get(group) ?? []
    if (own.length + 1 >= group.size) continue
    own.push(channel)
    chosen.set(group, own)
    wanted--
  }
  const removals = new Map<string, number[]>()
  for (const [{ id, size }, own] of chosen) {
    const some = own.slice(0, size - stayingOf(size - own.length, size, multiple))
    if (some.length > 0) removals.set(id, some)
  }
  return removals
}

function groupsById(model: Model): ReadonlyMap<string, ChannelGroup> {
  return new Map(channelGroups(model).map((group) => [group.id, group]))
}

/** What a criterion thinks of each channel of the model, by the id of its group. */
export async function channelScores({
  groups,
  model,
  ...how
}: Chooser<AnyScoring>): Promise<ReadonlyMap<string, Float64Array>> {
  const scores = await scoresOf(groups, model, how)
  return new Map(groups.map(({ id }, i) => [id, scores[i]]))
}

/** For each group one score a channel: those of its filters added up, combined over the layers that make it. */
export async function scoresOf(
  groups: readonly ChannelGroup[],
  model: Model,
  { pruner, options, context }: Pick<Chooser, 'options' | 'context'> & { readonly pruner: AnyScoring },
): Promise<Float64Array[]> {
  const layers = producersOf(groups)
  const prepared = await pruner.prepare?.({ model, groups, layers, options, context })
  const all: Float64Array[] = []
  for (const group of groups) {
    const scores = new Float64Array(group.size)
    for (const [position, { layer, places }] of group.producers.entries()) {
      context.signal?.throwIfAborted()
      const tensor = model.graph.initializers.get(layer.weight)!
      const weight = finiteWeights(layer.weight, tensor)
      const outAxis = layer.outAxis!
      const filters = { layer, weight, shape: tensor.shape, outAxis, group, model, options, context, prepared }
      const own = await pruner.score(filters)
      for (const [channel, filtersOfChannel] of places.entries()) {
        const score = filtersOfChannel.reduce((sum, place) => sum + own[place], 0)
        assertFinite(score, pruner.name, layer)
        const before = position === 0 ? score : scores[channel]
        scores[channel] = options.combine === 'max' ? Math.max(before, score) : scores[channel] + score
      }
    }
    all.push(scores)
  }
  return all
}

/** The layers that make the channels of the groups, each once. */
export function producersOf(groups: readonly ChannelGroup[]): Layer[] {
  const byName = new Map(groups.flatMap(({ producers }) => producers.map(({ layer }) => [layer.name, layer])))
  return [...byName.values()]
}

function assertFinite(score: number, pruner: string, { name }: Layer): void {
  if (Number.isFinite(score)) return
  throw new ModelError('score-not-finite', `'${pruner}' scores a filter of '${name}' with ${score}`, {
    place: name,
    hint: 'Exclude the layer, or look what its weights and its data are.',
  })
}

/** The channels with the lowest scores, of equal ones the first, in ascending order. */
export function lowest(scores: Float64Array, count: number): number[] {
  const order = Array.from(scores.keys()).toSorted((a, b) => scores[a] - scores[b])
  return order.slice(0, count).toSorted((a, b) => a - b)
}
