/** What a paper supplies to the family of filter pruners. */
import type { z } from 'zod'
import type { ChannelGroup } from '../../../../ir/channel-groups.ts'
import type { Model } from '../../../../ir/model.ts'
import type { Layer } from '../../../../ir/rewrite.ts'
import type { Paper } from '../../../../paper.ts'
import type { Context, Need } from '../../../method.ts'
import type { RefitOption } from '../../../refit.ts'

/** What a criterion sees of a layer that makes channels. */
export interface FiltersToScore<Options = unknown, Prepared = unknown> {
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
  /** What `prepare` has found on this model. */
  readonly prepared: Prepared
}

/** The groups of a round that are to be scored. */
export interface ScoresToPrepare<Options = unknown> {
  readonly model: Model
  readonly groups: readonly ChannelGroup[]
  /** The layers that make their channels, each once, in the order of execution. */
  readonly layers: readonly Layer[]
  readonly options: Options
  readonly context: Context
}

/** A group and how many of its channels are to go. */
export interface GroupToCut {
  readonly group: ChannelGroup
  readonly remove: number
}

/** What is to be removed in a round, all at once. */
export interface ChannelsToSelect<Options = unknown> {
  readonly model: Model
  readonly plan: readonly GroupToCut[]
  readonly options: Options
  readonly context: Context
}

interface PrunerFacts<Name extends string, Shape extends z.ZodRawShape> {
  readonly name: Name
  readonly summary: string
  readonly paper: Paper
  readonly needs?: readonly Need[]
  /** Options of the criterion itself. */
  readonly options?: Shape
  /** What options of the family are where nothing is said, if the paper has it otherwise. */
  readonly defaults?: { readonly refit?: RefitOption }
  /** A training that precedes the first round. It may change weights, not which channels there are. */
  before?(input: ScoresToPrepare<OptionsOf<Shape>>): Promise<Model>
}

type OptionsOf<Shape extends z.ZodRawShape> = z.infer<z.ZodObject<Shape>>

/** A criterion that gives each filter a score, whatever becomes of the others. */
export interface ScoringPruner<
  Name extends string,
  Shape extends z.ZodRawShape,
  Prepared = undefined,
> extends PrunerFacts<Name, Shape> {
  /**
   * With scope: global, what the scores of a group are divided by so that layers can be compared: their root mean square,
   * their L2 norm, or nothing. Default 'rms'.
   */
  readonly scale?: 'rms' | 'l2' | 'none'
  /** Called once a round, before its scores are asked for; with the strategy 'greedy' before those of each group. */
  prepare?(input: ScoresToPrepare<OptionsOf<Shape>>): Promise<Prepared> | Prepared
  /** One finite score a filter, [out, in, ...kernel] -> [out]; larger is kept. */
  score(filters: FiltersToScore<OptionsOf<Shape>, Prepared>): ArrayLike<number> | Promise<ArrayLike<number>>
  readonly select?: undefined
}

/** A criterion that chooses the channels of all layers together. There is no scope: global for it. */
export interface SelectingPruner<Name extends string, Shape extends z.ZodRawShape> extends PrunerFacts<Name, Shape> {
  /** The channels to remove by the id of their group. */
  select(input: ChannelsToSelect<OptionsOf<Shape>>): Promise<ReadonlyMap<string, readonly number[]>>
  readonly score?: undefined
}

export type FilterPruner<Name extends string, Shape extends z.ZodRawShape, Prepared = undefined> =
  | ScoringPruner<Name, Shape, Prepared>
  | SelectingPruner<Name, Shape>

/** Scores of filters that come to the given scores of the group's channels: of each its first filter has all of it. */
export function filtersOfChannels(
  { group, layer, shape, outAxis }: FiltersToScore,
  channels: ArrayLike<number>,
): Float64Array {
  const scores = new Float64Array(shape[outAxis])
  const { places } = group.producers.find((producer) => producer.layer.name === layer.name)!
  for (const [channel, [place]] of places.entries()) scores[place] = channels[channel]
  return scores
}
