/** What methods have in common that find out while training which weights go. */
import type { z } from 'zod'
import { UsageError } from '../../errors.ts'
import type { Draft } from '../../ir/draft.ts'
import type { Model } from '../../ir/model.ts'
import type { Layer } from '../../ir/rewrite.ts'
import { toFloat32 } from '../../tensor/half.ts'
import { float32 } from '../../tensor/tensor.ts'
import type { Constraint } from '../../training/extensions.ts'
import { trainingSettings } from '../../training/settings.ts'
import { chooseLayers, type LayerChoice } from '../layer-choice.ts'
import type { Context } from '../method.ts'
import { partialTrainingSettings, retrains } from '../retraining.ts'
import { finiteWeights, isPlainFloat } from '../weights.ts'
import { retrainMasked } from './rounds.ts'

/** The options of the two trainings: the one that makes weights vanish, and the one of what is left. */
export const sparseTrainingOptions = {
  retrain: partialTrainingSettings
    .optional()
    .describe('training settings while weights vanish; default: as the recipe says'),
  finish: partialTrainingSettings
    .optional()
    .describe('training settings that differ afterwards, when what is zero stays zero'),
}

export interface SparseTrainingOptions extends LayerChoice {
  readonly retrain?: z.infer<typeof partialTrainingSettings>
  readonly finish?: z.infer<typeof partialTrainingSettings>
}

/**
 * The chosen layers whose weights are plain floats, one for each different weight.
 * @throws UsageError when there is no data to train on, or a pattern names no layer.
 * @throws ModelError when a weight is not finite.
 */
export function sparseLayers(model: Model, options: LayerChoice, context: Context): Layer[] {
  const chosen = chooseLayers(model, options, context).filter((layer) => {
    const plain = isPlainFloat(model, layer)
    if (plain) finiteWeights(layer.weight, model.graph.initializers.get(layer.weight)!)
    else context.skip(layer.name, 'its weights are not plain floats: they were shared or quantized before')
    return plain
  })
  retrains({}, context)
  return chosen
}

/**
 * A proximal step: appends nodes that make of a weight's new value the one that takes its place. `step` is the length of
 * the step for a penalty of λ, a float32 scalar.
 */
export type Shrink = (draft: Draft, value: string, step: (lambda: number) => string) => string

/**
 * Trains with a proximal step for each of the weights after every update of the loss. With sgd its length is
 * η λ / (1 − momentum), that of the updates by a gradient of λ that stays the same; otherwise η λ. What was zero stays zero.
 */
export async function trainShrinking(
  model: Model,
  shrinks: ReadonlyMap<string, Shrink>,
  options: SparseTrainingOptions,
  context: Context,
): Promise<Model> {
  const { optimizer, momentum } = trainingSettings.parse({ ...context.training, ...options.retrain })
  const length = optimizer === 'sgd' ? 1 / (1 - momentum) : 1
  const constraint: Constraint = (draft, parameter, value, { learningRate }) => {
    const step = (lambda: number) => draft.add('Mul', [learningRate, scalarIn(draft, lambda * length)])
    return shrinks.get(parameter)?.(draft, value, step) ?? value
  }
  return retrainMasked(model, new Map(), options.retrain ?? {}, context, 'shrink', { constraint })
}

/** A float32 scalar constant. */
export function scalarIn(draft: Draft, value: number): string {
  return draft.constant('value', float32([value], []))
}

/** Reports the layers that the training has left without a single zero: their penalty was too low for its length. */
export function reportFull(model: Model, layers: readonly Layer[], context: Context): void {
  for (const { name, weight } of layers)
    if (!toFloat32(model.graph.initializers.get(weight)!).includes(0))
      context.skip(name, 'none of its weights vanished: raise its penalty, or train longer')
}

/** @throws UsageError when nothing is left of one of the layers, naming it, with the remedy. */
export function assertAlive(model: Model, layers: readonly Layer[], hint: string): void {
  const dead = layers.find(({ weight }) => {
    return toFloat32(model.graph.initializers.get(weight)!).every((value) => value === 0)
  })
  if (dead)
    throw new UsageError('removes-whole-layer', `all weights of '${dead.name}' went`, { place: dead.name, hint })
}

/** Per-layer overrides with all numbers multiplied, up to `most`. */
export function scaledOverrides<Override extends Readonly<Record<string, number | undefined>>>(
  layers: Readonly<Record<string, Override>>,
  factor: number,
  most: number,
): Record<string, Override> {
  const scaled = (value: number | undefined) => value && Math.min(most, value * factor)
  return Object.fromEntries(
    Object.entries(layers).map(([pattern, own]) => [
      pattern,
      Object.fromEntries(Object.entries(own).map(([key, value]) => [key, scaled(value)])) as Override,
    ]),
  )
}
