/** Which groups of channels a filter pruner works on, and how many channels each of them gives up. */
import { z } from 'zod'
import { UsageError } from '../../../../errors.ts'
import { channelGroups, type ChannelGroup } from '../../../../ir/channel-groups.ts'
import { intAttribute, type Model } from '../../../../ir/model.ts'
import type { Layer } from '../../../../ir/rewrite.ts'
import { chooseLayers, layerChoiceOptions, layerOverrides, optionsOfLayers } from '../../../layer-choice.ts'
import type { Context, Sensitivity } from '../../../method.ts'
import { isPlainFloat } from '../../../weights.ts'
import { fewestForMacs } from './macs.ts'
import { pruningLossOptions } from '../../sensitivity.ts'

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
  macs: z
    .number()
    .min(0)
    .max(1)
    .optional()
    .describe("share of the model's multiply-accumulates to remove, at least; in place of ratio and keep"),
  ...pruningLossOptions,
  multiple: z
    .number()
    .int()
    .min(1)
    .max(1024)
    .default(1)
    .describe('the channels that stay are rounded up to a multiple of this'),
  strength: z
    .number()
    .min(0)
    .max(100)
    .default(1)
    .describe('the share of filters (or macs) that stay is raised to this power: what a search for a budget turns'),
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
 * @throws UsageError when a pattern names no layer, or when a share of the macs is to go and no group can be cut.
 */
export function chosenGroups(model: Model, options: FilterAmounts, context: Context): ChannelGroup[] {
  const chosen = chooseLayers(model, options, context)
  const weights = new Set(chosen.map(({ weight }) => weight))
  const groups = channelGroups(model)
  const obstacles = new Map(groups.map((group) => [group, obstacleOf(group, model, weights)]))
  const reasonsWhy: { readonly layer: string; readonly reason: string }[] = []
  const skip = (layer: string, reason: string) => {
    reasonsWhy.push({ layer, reason })
    context.skip(layer, reason)
  }
  for (const layer of chosen) {
    const own = groups.filter(({ producers }) => producers.some((producer) => producer.layer.name === layer.name))
    const stuck = own.filter((group) => obstacles.get(group) !== undefined)
    const reasons = [...new Set(stuck.map((group) => obstacles.get(group)!))].join('; ')
    const count = (list: readonly ChannelGroup[]) => list.reduce((sum, { size }) => sum + size, 0)
    if (own.length === 0) skip(layer.name, 'its filters are no channels that could be told apart')
    else if (stuck.length === own.length) skip(layer.name, `its filters cannot be removed: ${reasons}`)
    else if (stuck.length > 0)
      skip(layer.name, `${count(stuck)} of its ${count(own)} filters cannot be removed: ${reasons}`)
  }
  const free = groups.filter((group) => group.producers.length > 0 && obstacles.get(group) === undefined)
  const [first] = reasonsWhy
  if (free.length === 0 && first && options.macs)
    throw new UsageError(
      'macs-out-of-reach',
      `no channel of any layer can be removed; of '${first.layer}': ${first.reason}`,
      {
        place: first.layer,
        hint: 'Use a method that removes single weights, such as magnitude, or choose other layers.',
      },
    )
  return free
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
 * reported where a share was asked for that is less than one channel. For a share of the macs the smallest ratio is looked
 * for that does, the same for all layers; with a multiple, whose steps are long, the last layers, which are the widest, go
 * a step ahead of the others where that is enough.
 * @throws UsageError when nothing would be left of a layer, or the macs cannot be reached.
 */
export function planLayers(
  groups: readonly ChannelGroup[],
  model: Model,
  options: FilterAmounts,
  context: Context,
  sensitivity?: Sensitivity,
): PlannedGroup[] {
  const planned = (shareFor: (position: number) => number | undefined, skip: Context['skip']) =>
    groups.flatMap((group, position) => {
      const members = group.producers.map(({ layer }) => layer)
      const common = () =>
        sensitivity ? { ratio: chosenAlone(group, sensitivity, skip) } : { ...options, share: shareFor(position) }
      const remove = removedOf(group, amountOf(options, members, model) ?? common(), options, model, skip)
      return remove === 0 ? [] : [{ id: group.id, size: group.size, remove }]
    })
  if (options.macs === undefined) return planned(() => undefined, context.skip)
  const shares = [...new Set(groups.flatMap(({ size }) => Array.from({ length: size }, (_, k) => k / size)))]
  shares.sort((a, b) => a - b)
  const leaders = options.multiple === 1 ? 1 : groups.length
  const sharesAt = (step: number) => (position: number) =>
    shares[Math.floor(step / leaders) - (leaders > 1 && position < leaders - 1 - (step % leaders) ? 1 : 0)] ?? 0
  const removalsAt = (step: number) =>
    new Map(
      planned(sharesAt(step), () => {}).map(({ id, remove }) => [id, Array.from({ length: remove }, (_, i) => i)]),
    )
  const target = shareOf(options.macs, options.strength)
  const step = fewestForMacs(model, target, { cutFrom: model, count: shares.length * leaders, removalsAt })
  return planned(sharesAt(step), context.skip)
}

/** The share that the group can give up alone. */
function chosenAlone({ id, size }: ChannelGroup, { curves, maxLoss }: Sensitivity, skip: Context['skip']): number {
  const { chosen = 0, points } = curves.find(({ layer }) => layer === id)!
  const least = Math.round((points[1]?.at ?? 0) * size)
  if (chosen === 0) skip(id, `without ${least} of its ${size} filters the model loses more than ${maxLoss} points`)
  return chosen
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

type Amount = Pick<FilterAmounts, 'ratio' | 'keep'> & {
  /** What goes, whatever the strength. */
  readonly share?: number
}

/** What single layers are told, for layers that are tied; of one amount it sets the other aside. */
function amountOf(options: FilterAmounts, members: readonly Layer[], model: Model): Amount | undefined {
  const bare = { ...options, ratio: undefined, keep: undefined }
  const { ratio, keep } = optionsOfLayers<FilterAmounts>(bare, members, model)
  return ratio === undefined && keep === undefined ? undefined : { ratio, keep }
}

function removedOf(
  { id, size, producers: [{ layer }] }: ChannelGroup,
  { ratio = DEFAULT_RATIO, keep, share }: Amount,
  { strength, multiple }: FilterAmounts,
  model: Model,
  skip: Context['skip'],
): number {
  let stay: number
  if (keep === undefined) {
    if (ratio === 1) throw wholeLayer(layer.name, `a ratio of 1 removes all ${size} filters of '${id}'`)
    const gone = share ?? shareOf(ratio, strength)
    stay = size - countOf(size, gone)
    if (stay === size && ratio > 0)
      skip(layer.name, `a share of ${Number(gone.toPrecision(3))} of its ${size} filters is less than one`)
  } else {
    // In parts of the group, because a channel may be several filters, and a layer's filters may be in several groups.
    const filters = filtersOf(layer, model)
    if (keep === 0) throw wholeLayer(layer.name, `keep: 0 removes all ${filters} filters of '${id}'`)
    if (keep >= filters) skip(layer.name, `it has ${filters} filters, not more than the ${keep} that it may keep`)
    stay = Math.max(1, Math.round(size * Math.min(1, keep / filters) ** strength))
  }
  const rounded = stayingOf(stay, size, multiple)
  if (rounded === size && stay < size)
    skip(
      layer.name,
      `${stay} of its ${size} filters would stay, and all of them when rounded up to a multiple of ${multiple}`,
    )
  return size - rounded
}

/** How many of `size` channels stay where `count` would: rounded up to a multiple. */
export function stayingOf(count: number, size: number, multiple: number): number {
  return Math.min(size, Math.ceil(count / multiple) * multiple)
}

function filtersOf({ node, weight, outAxis }: Layer, model: Model): number {
  const along = model.graph.initializers.get(weight)!.shape[outAxis!]
  return node.op === 'ConvTranspose' ? along * intAttribute(node, 'group', 1) : along
}

/** What goes is what does not stay; of that the strength is the power. */
export function shareOf(ratio: number, strength: number): number {
  return 1 - (1 - ratio) ** strength
}

/** How many of `size` make up a share below 1: one always stays. */
export function countOf(size: number, share: number): number {
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
