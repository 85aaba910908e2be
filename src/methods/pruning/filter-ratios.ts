/** Which groups of channels a filter pruner works on, and how many channels each of them gives up. */
import { z } from 'zod'
import { UsageError } from '../../errors.ts'
import { channelGroups, type ChannelGroup } from '../../ir/channel-groups.ts'
import { intAttribute, type Model } from '../../ir/model.ts'
import type { Layer } from '../../ir/rewrite.ts'
import { chooseLayers, layerChoiceOptions, layerOverrides, optionsOfLayers } from '../layer-choice.ts'
import type { Context } from '../method.ts'
import { isPlainFloat } from '../weights.ts'

const amount = {
  ratio: z
    .number()
    .min(0)
    .max(1)
    .optional()
    .describe('share of the filters to remove, rounded down; default 0.5 where keep says nothing'),
  keep: z.number().int().min(0).max(1_000_000).optional().describe('number of filters that a layer keeps'),
}

/** The options that say how much goes. */
export const filterAmountOptions = {
  ...amount,
  strength: z
    .number()
    .min(0)
    .max(100)
    .default(1)
    .describe('the share of filters that stay is raised to this power: what a search for a budget turns'),
  ...layerChoiceOptions,
  layers: layerOverrides(amount),
}

export type FilterAmounts = z.infer<z.ZodObject<typeof filterAmountOptions>>

/** A group of channels as it was before the first round, and how many of its channels are gone after the last. */
export interface PlannedGroup {
  readonly id: string
  readonly size: number
  readonly remove: number
}

/**
 * The groups of channels that can be cut and whose producers were all chosen, in the order of execution. What was chosen
 * and cannot be cut is reported as skipped, with the reason.
 * @throws UsageError when a pattern names no layer.
 */
export function chosenGroups(model: Model, options: FilterAmounts, context: Context): ChannelGroup[] {
  const chosen = chooseLayers(model, options, context)
  const weights = new Set(chosen.map(({ weight }) => weight))
  const groups = channelGroups(model)
  const obstacles = new Map(groups.map((group) => [group, obstacleOf(group, model, weights)]))
  for (const layer of chosen) {
    const own = groups.filter(({ producers }) => producers.some((producer) => producer.layer.name === layer.name))
    const stuck = own.filter((group) => obstacles.get(group) !== undefined)
    const reasons = [...new Set(stuck.map((group) => obstacles.get(group)!))].join('; ')
    const count = (list: readonly ChannelGroup[]) => list.reduce((sum, { size }) => sum + size, 0)
    if (own.length === 0) context.skip(layer.name, 'its filters are no channels that could be told apart')
    else if (stuck.length === own.length) context.skip(layer.name, `its filters cannot be removed: ${reasons}`)
    else if (stuck.length > 0)
      context.skip(layer.name, `${count(stuck)} of its ${count(own)} filters cannot be removed: ${reasons}`)
  }
  return groups.filter((group) => group.producers.length > 0 && obstacles.get(group) === undefined)
}

/** Why the channels of a group have to stay; undefined where they can go. */
function obstacleOf({ reason, size, producers }: ChannelGroup, model: Model, weights: ReadonlySet<string>) {
  if (reason !== undefined) return reason
  if (size < 2) return 'there is only one'
  for (const { layer } of producers) {
    if (!weights.has(layer.weight)) return `they are tied to those of '${layer.name}', which was not chosen`
    if (!isPlainFloat(model, layer))
      return `the weights of '${layer.name}' are not plain floats: they were shared or quantized before`
    if (layer.outAxis === undefined) return `a Reshape mixes the filters of '${layer.name}'`
  }
  return undefined
}

/**
 * How many channels of each group go, where each layer has a share of its own. Groups of which none goes are left out, and
 * reported where a share was asked for that is less than one channel.
 * @throws UsageError when nothing would be left of a layer.
 */
export function planLayers(
  groups: readonly ChannelGroup[],
  model: Model,
  options: FilterAmounts,
  context: Context,
): PlannedGroup[] {
  return groups.flatMap((group) => {
    const members = group.producers.map(({ layer }) => layer)
    const remove = removedOf(group, amountOf(options, members, model), options.strength, model, context)
    return remove === 0 ? [] : [{ id: group.id, size: group.size, remove }]
  })
}

/**
 * How many channels of all groups together go, where one threshold decides; one of each group always stays.
 * @throws UsageError when nothing is to be left.
 */
export function plannedTotal(
  groups: readonly ChannelGroup[],
  { ratio = DEFAULT_RATIO, strength }: FilterAmounts,
): number {
  if (ratio === 1 && groups.length > 0) throw wholeLayer(groups[0].id, `a ratio of 1 removes all filters`)
  const size = groups.reduce((sum, group) => sum + group.size, 0)
  return Math.min(countOf(size, shareOf(ratio, strength)), size - groups.length)
}

const DEFAULT_RATIO = 0.5

type Amount = Pick<FilterAmounts, 'ratio' | 'keep'>

/** What is removed from layers that are tied. An override of one amount sets the other aside. */
function amountOf(options: FilterAmounts, members: readonly Layer[], model: Model): Amount {
  const bare = { ...options, ratio: undefined, keep: undefined }
  const own: Amount = optionsOfLayers<FilterAmounts>(bare, members, model)
  return own.ratio === undefined && own.keep === undefined ? options : own
}

function removedOf(
  { id, size, producers: [{ layer }] }: ChannelGroup,
  { ratio = DEFAULT_RATIO, keep }: Amount,
  strength: number,
  model: Model,
  context: Context,
): number {
  if (keep === undefined) {
    if (ratio === 1) throw wholeLayer(layer.name, `a ratio of 1 removes all ${size} filters of '${id}'`)
    const share = shareOf(ratio, strength)
    const remove = countOf(size, share)
    if (remove === 0 && ratio > 0)
      context.skip(layer.name, `a share of ${Number(share.toPrecision(3))} of its ${size} filters is less than one`)
    return remove
  }
  // In parts of the group, because a channel may be several filters, and a layer's filters may be in several groups.
  const filters = filtersOf(layer, model)
  if (keep === 0) throw wholeLayer(layer.name, `keep: 0 removes all ${filters} filters of '${id}'`)
  if (keep >= filters) context.skip(layer.name, `it has ${filters} filters, not more than the ${keep} that it may keep`)
  return size - Math.max(1, Math.round(size * Math.min(1, keep / filters) ** strength))
}

function filtersOf({ node, weight, outAxis }: Layer, model: Model): number {
  const along = model.graph.initializers.get(weight)!.shape[outAxis!]
  return node.op === 'ConvTranspose' ? along * intAttribute(node, 'group', 1) : along
}

/** What goes is what does not stay; of that the strength is the power. */
function shareOf(ratio: number, strength: number): number {
  return 1 - (1 - ratio) ** strength
}

/** How many of `size` make up a share below 1: one always stays. */
function countOf(size: number, share: number): number {
  return Math.min(size - 1, wholePart(size * share))
}

/** Rounds down, but what is a whole number except for rounding errors not to the one below it. */
export function wholePart(value: number): number {
  return Math.floor(value + 1e-6)
}

function wholeLayer(layer: string, message: string): UsageError {
  return new UsageError('removes-whole-layer', message, {
    place: layer,
    hint: 'Leave at least one filter: a smaller ratio, keep: 1, or exclude the layer.',
  })
}
