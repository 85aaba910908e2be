import { z } from 'zod'
import { UsageError } from '../../errors.ts'
import { createDraft } from '../../ir/draft.ts'
import type { Model } from '../../ir/model.ts'
import { layers, type Layer } from '../../ir/rewrite.ts'
import type { Paper } from '../../paper.ts'
import { fromFloat32, toFloat32 } from '../../tensor/half.ts'
import { float32, type Tensor } from '../../tensor/tensor.ts'
import { trainableParameters } from '../../training/parameters.ts'
import { chooseLayers, layerChoiceOptions, layerOverrides, optionsOfLayer } from '../layer-choice.ts'
import { defineMethod, type Context, type Method, type Need } from '../method.ts'
import { adoptTrained, partialTrainingSettings, retrain, retrainOption, retrains } from '../retraining.ts'
import { withScaledDropout } from './dropout.ts'
import { constantsOf, deviation, finiteWeights, isPlainFloat, withInitializers } from '../weights.ts'

/** How the share of removed weights grows over the rounds, with t from 0 to 1. */
export const sparsitySchedules = {
  linear: (final: number, t: number) => final * t,
  cubic: (final: number, t: number) => final * (1 - (1 - t) ** 3),
  geometric: (final: number, t: number) => 1 - (1 - final) ** t,
} as const

const amount = {
  sparsity: z.number().min(0).lt(1).optional().describe('share of the weights to remove'),
  quality: z.number().min(0).optional().describe('remove what is below this factor times the standard deviation'),
}

/** The options of every weight pruner. */
const pruningOptions = {
  ...amount,
  scope: z.enum(['layer', 'global']).default('layer').describe('one threshold a layer, or one for all'),
  rounds: z.number().int().min(1).max(1000).default(1).describe('rounds of pruning and retraining'),
  schedule: z
    .enum(['linear', 'cubic', 'geometric'])
    .default('cubic')
    .describe('growth of the sparsity over the rounds'),
  retrain: retrainOption,
  finish: partialTrainingSettings.optional().describe('training settings that differ in the last round'),
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
      .refine((options) => options.rounds === 1 || options.retrain !== false, {
        message: 'several rounds make no sense without retraining',
        path: ['rounds'],
      }) as z.ZodType<PruningOptions>,
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
  if (options.scope === 'global' && options.layers && Object.keys(options.layers).length > 0)
    throw new UsageError(
      'global-overrides',
      'with scope: global there is one threshold, and no options of single layers',
      {
        place: 'layers',
        hint: 'Leave layers out with exclude, or use scope: layer.',
      },
    )
  const training = retrains(options.retrain, context)
  const rounds = training ? options.rounds : 1
  let current = model
  for (let round = 1; round <= rounds; round++) {
    context.signal?.throwIfAborted()
    const masks = await masksOfRound(current, chosen, pruner, options, round / rounds, context)
    current = withMasksApplied(current, masks)
    if (!training) continue
    const settings = { ...(options.retrain || undefined), ...(round === rounds ? options.finish : undefined) }
    const label = rounds > 1 ? `retrain ${round}/${rounds}` : 'retrain'
    const kept = new Map([...zerosElsewhere(current, chosen), ...masks])
    const trained = await retrain(
      withMasks(withScaledDropout(current, kept), kept),
      parametersOf(current),
      settings,
      context,
      label,
    )
    current = withMasksApplied(adoptTrained(current, trained), kept)
  }
  return current
}

/** What retraining moves: codes and codebooks of layers that were shared or quantized before stay as they are. */
function parametersOf(model: Model): string[] {
  const fixed = new Set(
    layers(model)
      .filter((layer) => !isPlainFloat(model, layer))
      .flatMap((layer) => [...constantsOf(model, layer)]),
  )
  return trainableParameters(model).filter((name) => !fixed.has(name))
}

/** Masks of the layers that this step leaves alone, where an earlier one has set weights to zero. */
function zerosElsewhere(model: Model, chosen: readonly Layer[]): Map<string, Float32Array> {
  const own = new Set(chosen.map((layer) => layer.weight))
  const masks = new Map<string, Float32Array>()
  for (const layer of layers(model)) {
    if (own.has(layer.weight) || !isPlainFloat(model, layer)) continue
    const values = toFloat32(model.graph.initializers.get(layer.weight)!)
    if (values.includes(0))
      masks.set(
        layer.weight,
        values.map((value) => (value === 0 ? 0 : 1)),
      )
  }
  return masks
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

/** The model with zeros where a mask has them. */
function withMasksApplied(model: Model, masks: ReadonlyMap<string, Float32Array>): Model {
  const replaced = new Map<string, Tensor>()
  for (const [name, mask] of masks) {
    const tensor = model.graph.initializers.get(name)!
    const values = toFloat32(tensor)
    const kept = values.map((value, i) => (mask[i] === 0 ? 0 : value))
    replaced.set(name, fromFloat32(tensor.dtype, tensor.shape, kept))
  }
  return withInitializers(model, replaced)
}

/** The model with `Mul(W, mask)` in the place of each masked weight W, so that training moves only what is left. */
function withMasks(model: Model, masks: ReadonlyMap<string, Float32Array>): Model {
  const draft = createDraft(model)
  for (const [name, mask] of masks) {
    const constant = draft.constant(`${name}.mask`, float32(mask, model.graph.initializers.get(name)!.shape))
    const masked = draft.add('Mul', [name, constant])
    const position = draft.nodes.length - 1
    draft.redirect(name, masked)
    draft.nodes[position] = { ...draft.nodes[position], inputs: [name, constant] }
  }
  return draft.finish()
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
