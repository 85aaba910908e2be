import { z } from 'zod'
import type { Model } from '../../ir/model.ts'
import type { Layer } from '../../ir/rewrite.ts'
import type { Paper } from '../../paper.ts'
import { chooseLayers, layerChoiceOptions, layerOverrides, optionsOfLayer } from '../layer-choice.ts'
import { defineMethod, type Context, type Method, type Need } from '../method.ts'
import { deviation, finiteWeights, isPlainFloat } from '../weights.ts'
import { withMasksApplied } from './masks.ts'
import { pruneInRounds, retrainedBetween, roundOptions, sparsitySchedules } from './rounds.ts'
import { assertOneThreshold, scopeOption } from './scope.ts'

const amount = {
  sparsity: z.number().min(0).lt(1).optional().describe('share of the weights to remove'),
  quality: z.number().min(0).optional().describe('remove what is below this factor times the standard deviation'),
}

/** The options of every weight pruner. */
const pruningOptions = {
  ...amount,
  scope: scopeOption,
  ...roundOptions,
  ...layerChoiceOptions,
  layers: layerOverrides(amount),
}

export type PruningOptions = z.infer<z.ZodObject<typeof pruningOptions>>

/** What a criterion sees of a layer. */
export interface WeightsToScore {
  readonly layer: Layer
  /** The weights, row-major in the layer's own layout. */
  readonly weight: Float32Array
  readonly shape: readonly number[]
  readonly context: Context
}

export interface WeightPruner<Name extends string> {
  readonly name: Name
  readonly summary: string
  readonly paper: Paper
  readonly needs?: readonly Need[]
  /** One score a weight, finite and not negative; larger is kept, and a weight that is zero scores 0. */
  score(weights: WeightsToScore): Float32Array | Promise<Float32Array>
}

/**
 * Makes the record of a method that sets single weights to zero. The family chooses layers and thresholds, and retrains
 * what is left under a fixed mask; `score` says which weights matter. In the result the weights are plain initializers
 * with zeros: the shape of the network does not change, and only a sparse format gets smaller by it.
 *
 * A layer never loses all of its weights: the one with the largest score stays.
 */
export function defineWeightPruner<const Name extends string>(
  pruner: WeightPruner<Name>,
): Method<Name, PruningOptions> {
  return defineMethod({
    name: pruner.name,
    family: 'pruning',
    summary: pruner.summary,
    paper: pruner.paper,
    needs: pruner.needs ?? [],
    options: z
      .strictObject(pruningOptions)
      .refine((options) => options.sparsity === undefined || options.quality === undefined, {
        message: 'sparsity and quality exclude each other',
        path: ['quality'],
      })
      .refine(...retrainedBetween) as z.ZodType<PruningOptions>,
    strength: strengthOf,
    apply: (model, options, context) => prune(model, pruner, options, context),
  })
}

async function prune(model: Model, pruner: WeightPruner<string>, options: PruningOptions, context: Context) {
  const chosen = chooseLayers(model, options, context).filter((layer) => {
    const plain = isPlainFloat(model, layer)
    if (!plain) context.skip(layer.name, 'its weights are not plain floats: they were shared or quantized before')
    return plain
  })
  assertOneThreshold(options)
  return pruneInRounds(model, options, context, async (current, t) => {
    const masks = await masksOfRound(current, chosen, pruner, options, t, context)
    return { model: withMasksApplied(current, masks), masks }
  })
}

/** The masks, by weight: 1 where the weight stays. */
async function masksOfRound(
  model: Model,
  chosen: readonly Layer[],
  pruner: WeightPruner<string>,
  options: PruningOptions,
  t: number,
  context: Context,
): Promise<Map<string, Float32Array>> {
  const scored: { layer: Layer; weight: Float32Array; scores: Float32Array }[] = []
  for (const layer of chosen) {
    const tensor = model.graph.initializers.get(layer.weight)!
    const weight = finiteWeights(layer.weight, tensor)
    scored.push({ layer, weight, scores: await pruner.score({ layer, weight, shape: tensor.shape, context }) })
  }
  const grow = sparsitySchedules[options.schedule]
  const masks = new Map<string, Float32Array>()
  if (options.scope === 'global') {
    const all = joined(scored.map(({ scores }) => scores))
    const keep = maskOf(all, joined(scored.map(({ weight }) => weight)), options, t, grow)
    let offset = 0
    for (const { layer, scores } of scored) {
      const mask = keep.slice(offset, offset + scores.length)
      offset += scores.length
      keepBest(mask, scores)
      masks.set(layer.weight, mask)
    }
  } else
    for (const { layer, weight, scores } of scored) {
      const mask = maskOf(scores, weight, amountOf(options, layer, model), t, grow)
      keepBest(mask, scores)
      masks.set(layer.weight, mask)
    }
  return masks
}

/** What is removed from a layer. An override of one amount sets the other aside. */
function amountOf(options: PruningOptions, layer: Layer, model: Model): Pick<PruningOptions, 'sparsity' | 'quality'> {
  const { layers } = options
  const own = optionsOfLayer<PruningOptions>(
    { ...options, sparsity: undefined, quality: undefined, layers },
    layer,
    model,
  )
  return own.sparsity === undefined && own.quality === undefined ? options : own
}

/**
 * Section 3.1 of Han et al. 2015: what is below quality × σ goes, σ being the deviation of the weights that are left.
 * With a sparsity, exactly that share goes; of equal scores the first ones.
 */
function maskOf(
  scores: Float32Array,
  weights: Float32Array,
  { sparsity, quality }: Pick<PruningOptions, 'sparsity' | 'quality'>,
  t: number,
  grow: (final: number, t: number) => number,
): Float32Array {
  if (sparsity === undefined) {
    const threshold = (quality ?? 1) * t * deviation(weights)
    return scores.map((score, i) => (score < threshold || weights[i] === 0 ? 0 : 1))
  }
  const remove = Math.round(grow(sparsity, t) * scores.length)
  const mask = new Float32Array(scores.length).fill(1)
  if (remove === 0) return mask
  const threshold = Float32Array.from(scores).sort()[remove - 1]
  let ties = remove
  for (const score of scores) if (score < threshold) ties--
  for (let i = 0; i < scores.length; i++)
    if (scores[i] < threshold || (scores[i] === threshold && ties-- > 0)) mask[i] = 0
  return mask
}

function keepBest(mask: Float32Array, scores: Float32Array): void {
  if (mask.length === 0 || mask.includes(1)) return
  let best = 0
  for (let i = 1; i < scores.length; i++) if (scores[i] > scores[best]) best = i
  mask[best] = 1
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const result = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0))
  let offset = 0
  for (const part of parts) {
    result.set(part, offset)
    offset += part.length
  }
  return result
}

/** At strength s the share of kept weights is raised to the power s; a quality factor is multiplied by it. */
function strengthOf(options: PruningOptions, s: number): PruningOptions {
  const scaled = <A extends { sparsity?: number; quality?: number }>(amounts: A): A => ({
    ...amounts,
    ...(amounts.sparsity === undefined ? {} : { sparsity: 1 - (1 - amounts.sparsity) ** s }),
    ...(amounts.quality === undefined ? {} : { quality: amounts.quality * s }),
  })
  const base = options.sparsity === undefined && options.quality === undefined ? { ...options, quality: 1 } : options
  const layers =
    options.layers && Object.fromEntries(Object.entries(options.layers).map(([key, o]) => [key, scaled(o)]))
  return { ...scaled(base), layers }
}
