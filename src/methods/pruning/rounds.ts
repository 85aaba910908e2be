/** Pruning little by little, with retraining after each round. */
import { z } from 'zod'
import type { Model } from '../../ir/model.ts'
import { retrainHolding, type Masks } from '../held-weights.ts'
import type { Context } from '../method.ts'
import { adoptTrained, partialTrainingSettings, retrainOption, retrains, type retrain } from '../retraining.ts'
import { withScaledDropout } from './dropout.ts'
import { masksOfZeros } from '../masks.ts'

/** How the share of what is removed grows over the rounds, with t from 0 to 1. */
export const sparsitySchedules = {
  linear: (final: number, t: number) => final * t,
  cubic: (final: number, t: number) => final * (1 - (1 - t) ** 3),
  geometric: (final: number, t: number) => 1 - (1 - final) ** t,
} as const

/** The options of every pruner that works in rounds. */
export const roundOptions = {
  rounds: z.number().int().min(1).max(1000).default(1).describe('rounds of pruning and retraining'),
  schedule: z
    .enum(['linear', 'cubic', 'geometric'])
    .default('cubic')
    .describe('growth of the sparsity over the rounds'),
  retrain: retrainOption,
  finish: partialTrainingSettings.optional().describe('training settings that differ in the last round'),
}

export type RoundOptions = z.infer<z.ZodObject<typeof roundOptions>>

/** Arguments of a `refine`: between rounds there has to be a training. */
export const retrainedBetween: [(options: RoundOptions) => boolean, { message: string; path: string[] }] = [
  (options) => options.rounds === 1 || options.retrain !== false,
  { message: 'several rounds make no sense without retraining', path: ['rounds'] },
]

/**
 * Calls `prune` for each round with the model as it is and the time t = round / rounds, and retrains after each where the
 * options and the data say so; without retraining there is one round. Weights that are zero stay zero.
 */
export async function pruneInRounds(
  model: Model,
  options: RoundOptions,
  context: Context,
  prune: (current: Model, t: number) => Promise<Model>,
): Promise<Model> {
  const training = retrains(options.retrain, context)
  const rounds = training ? options.rounds : 1
  let current = model
  for (let round = 1; round <= rounds; round++) {
    context.signal?.throwIfAborted()
    current = await prune(current, round / rounds)
    if (!training) continue
    const settings = { ...(options.retrain || undefined), ...(round === rounds ? options.finish : undefined) }
    const label = rounds > 1 ? `retrain ${round}/${rounds}` : 'retrain'
    current = await retrainMasked(current, new Map(), settings, context, label)
  }
  return current
}

/**
 * Retrains what the masks leave, and what is zero elsewhere stays zero too: the training behind every removal of
 * weights.
 * @param own masks of weights that are zero already where the masks have zeros.
 */
export async function retrainMasked(
  model: Model,
  own: Masks,
  settings: Parameters<typeof retrain>[2],
  context: Context,
  label: string,
  further?: Parameters<typeof retrain>[5],
): Promise<Model> {
  const masks = new Map([...masksOfZeros(model), ...own])
  const trained = await retrainHolding(withScaledDropout(model, masks), masks, settings, context, label, further)
  return adoptTrained(model, trained.graph.initializers)
}
