import { z } from 'zod'
import { cutChannels } from '../../../../ir/cut.ts'
import type { Model } from '../../../../ir/model.ts'
import { calibrationSet } from '../../../calibration.ts'
import { defineMethod, type Context, type Method, type Sensitivity } from '../../../method.ts'
import { refitOption } from '../../../refit.ts'
import { finiteWeights } from '../../../weights.ts'
import { createCutProof, type CutProof } from './cut-proof.ts'
import {
  channelScores,
  globalChoice,
  layerChoice,
  producersOf,
  type AnyPruner,
  type Chooser,
  type ChosenChannels,
} from './choice.ts'
import type { FilterPruner } from './pruner.ts'
import { chosenGroups, filterAmountOptions } from './ratios.ts'
import { refitReaders } from './refit.ts'
import { filterSensitivity } from './sensitivity.ts'
import { pruneInRounds, retrainedBetween, roundOptions } from '../../rounds.ts'
import { assertOneThreshold, scopeOption } from '../../scope.ts'

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
  refit: refitOption.default(false),
  ...roundOptions,
}

export type FilterOptions = z.infer<z.ZodObject<typeof filterOptions>>

/**
 * Makes the record of a method that removes whole filters, and with them the channels of every layer that reads them. The
 * result is a smaller dense network. Channels that several layers make, because a residual connection adds them or a
 * depthwise convolution passes them on, stay or go together by their combined scores. After each cut the smaller model is
 * compared with the one in which the removed channels are multiplied by zero, before it is retrained. With `refit` the layers
 * that read what goes are first given other weights, by least squares, so that they compute nearly what they did.
 *
 * With scope: global the scores of a group are divided by their root mean square, or what the pruner's `scale` says, so that
 * layers can be compared.
 */
export function defineFilterPruner<const Name extends string, Shape extends z.ZodRawShape = {}, Prepared = undefined>(
  pruner: FilterPruner<Name, Shape, Prepared>,
): Method<Name, FilterOptions> {
  const any = pruner as unknown as AnyPruner
  return defineMethod({
    name: pruner.name,
    family: 'pruning',
    summary: pruner.summary,
    paper: pruner.paper,
    needs: pruner.needs ?? [],
    options: z
      .strictObject({
        ...filterOptions,
        refit: refitOption.default(refitOption.parse(pruner.defaults?.refit ?? false)),
        ...pruner.options,
      })
      .refine(
        ({ ratio, keep, macs, maxLoss }) =>
          [ratio, keep, macs, maxLoss].filter((amount) => amount !== undefined).length <= 1,
        { message: 'ratio, keep, macs and maxLoss exclude each other', path: ['keep'] },
      )
      .refine((options) => options.scope === 'layer' || options.keep === undefined, {
        message: 'with scope: global a ratio says how many filters of all layers go',
        path: ['keep'],
      })
      .refine((options) => options.scope === 'layer' || options.maxLoss === undefined, {
        message: 'maxLoss looks at each layer alone, and scope: global at all at once',
        path: ['maxLoss'],
      })
      .refine((options) => options.scope === 'layer' || options.strategy === 'independent', {
        message: 'greedy goes from layer to layer, and scope: global looks at all at once',
        path: ['strategy'],
      })
      .refine((options) => !pruner.select || (options.scope === 'layer' && options.strategy === 'independent'), {
        message: `${pruner.name} chooses the channels of all layers together, so many of each: there is only scope: layer`,
        path: ['scope'],
      })
      .refine(...retrainedBetween),
    strength: (options, strength) => ({ ...options, strength: options.strength * strength }),
    removes: 'filters',
    apply: (model, options, context) => prune(model, any, options, context),
    ...(any.score ? { scores: (...input: Input) => channelScores(chooserOf(any, ...input)) } : {}),
    sensitivity: (...input) => filterSensitivity(chooserOf(any, ...input)),
  })
}

async function prune(model: Model, pruner: AnyPruner, options: FilterOptions, context: Context): Promise<Model> {
  assertOneThreshold(options)
  const before = chooserOf(pruner, model, options, context)
  const { groups } = before
  const trained = (await pruner.before?.({ model, groups, layers: producersOf(groups), options, context })) ?? model
  const chooser = { ...before, model: trained, sensitivity: await sensitivityOf({ ...before, model: trained }) }
  const choose =
    options.scope === 'global' && !pruner.select ? globalChoice({ ...chooser, pruner }) : layerChoice(chooser)
  const proof = createCutProof(pruner.name, context)
  const result = await pruneInRounds(trained, options, context, async (current, t) =>
    cutRound(current, await choose(current, t), { proof, options, context }),
  )
  const check = proof.check()
  if (check) context.proved?.(check)
  return result
}

type Input = readonly [model: Model, options: FilterOptions, context: Context]

function chooserOf<Pruner extends AnyPruner>(pruner: Pruner, ...[model, options, context]: Input): Chooser<Pruner> {
  const groups = chosenGroups(model, options, context)
  for (const { weight } of producersOf(groups)) finiteWeights(weight, model.graph.initializers.get(weight)!)
  if (pruner.needs?.includes('calibration-data')) calibrationSet(context)
  return { pruner, groups, model, options, context }
}

/** What each layer can give up alone, where it is asked for. */
async function sensitivityOf(chooser: Chooser): Promise<Sensitivity | undefined> {
  if (chooser.options.maxLoss === undefined) return undefined
  const found = await filterSensitivity(chooser)
  chooser.context.sensitivity?.(found)
  return found
}

interface Cutting {
  readonly proof: CutProof
  readonly options: FilterOptions
  readonly context: Context
}

async function cutRound(
  current: Model,
  removals: ChosenChannels,
  { proof, options: { refit }, context }: Cutting,
): Promise<Model> {
  if (removals.size === 0) return current
  const refitted = refit === false ? current : await refitReaders(current, removals, refit, context)
  const cut = cutChannels(refitted, removals)
  await proof.compare(refitted, removals, cut)
  return cut
}
