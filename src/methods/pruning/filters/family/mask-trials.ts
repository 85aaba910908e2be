import { trialData } from '../../../trial-data.ts'
/** What a classifier loses when some of its channels are switched off: measured, not estimated. */
import { z } from 'zod'
import type { Dataset } from '../../../../datasets/dataset.ts'
import type { ChannelGroup } from '../../../../ir/channel-groups.ts'
import type { Removals } from '../../../../ir/cut.ts'
import { withMaskInput } from '../../../../ir/mask-inputs.ts'
import type { Model } from '../../../../ir/model.ts'
import { toFloat32Model } from '../../../../ir/precision.ts'
import { evaluateWith, type Evaluation } from '../../../../training/evaluate.ts'
import { createPredictor } from '../../../../training/predictor.ts'
import type { Random } from '../../../../tensor/random.ts'
import type { Context } from '../../../method.ts'
import type { GroupToCut } from './pruner.ts'

/** One model in one session, asked again and again with other channels switched off. */
export interface MaskTrials {
  /** The examples that every trial looks at. */
  readonly data: Dataset
  /** Loss and accuracy of the model in which these channels are multiplied by zero. */
  measure(removals: Removals): Promise<Evaluation>
}

/** The option that says how many examples a trial looks at. */
export const samplesOption = z
  .number()
  .int()
  .min(1)
  .max(1_000_000)
  .default(256)
  .describe('examples of the validation data on which each trial is measured')

/**
 * Works with trials of the groups with the given ids on `samples` examples of the validation data, the same for each
 * trial, chosen by the seed. Where the data has fewer, all of them are used.
 * @throws UsageError when there is no data, or the model does not fit it.
 */
export async function withMaskTrials<T>(
  { model, groups, samples, context }: ToTry,
  work: (trials: MaskTrials) => Promise<T>,
): Promise<T> {
  const data = trialData(samples, context)
  const ids = groups.map(({ id }) => id)
  const masked = withMaskInput(toFloat32Model(model), ids)
  const predictor = await createPredictor(masked.model, data.inputShape, context.engine, { promoted: [masked.mask] })
  try {
    return await work({
      data,
      async measure(removals) {
        context.signal?.throwIfAborted()
        return evaluateWith(predictor, data, {}, { [masked.mask]: masked.maskOf(removals) })
      },
    })
  } finally {
    await predictor.close()
  }
}

/** What is tried. */
export interface ToTry {
  readonly model: Model
  readonly groups: readonly Pick<ChannelGroup, 'id'>[]
  readonly samples: number
  readonly context: Pick<Context, 'engine' | 'data' | 'seed' | 'signal'>
}

/** Channels to switch off, and how many examples are misclassified then. */
export interface Trial {
  readonly removals: ReadonlyMap<string, readonly number[]>
  /** Share of the examples that are classified rightly: 1 - the misclassification rate. */
  readonly accuracy: number
  readonly loss: number
}

/** Measures a choice of channels. */
export async function tryMask(trials: MaskTrials, removals: Trial['removals']): Promise<Trial> {
  const { accuracy, loss } = await trials.measure(removals)
  return { removals, accuracy, loss }
}

/** The trial that misclassifies less, or of equal ones that with the lower loss, or the first. */
export function better(first: Trial, second: Trial): Trial {
  if (second.accuracy !== first.accuracy) return second.accuracy > first.accuracy ? second : first
  return second.loss < first.loss ? second : first
}

/** So many channels of each group as the plan says, any with the same probability, in ascending order. */
export function randomChannels(plan: readonly GroupToCut[], random: Random): Map<string, readonly number[]> {
  return new Map(
    plan.map(({ group: { id, size }, remove }) => {
      const order = random.shuffle(Array.from({ length: size }, (_, channel) => channel))
      return [id, order.slice(0, remove).sort((a, b) => a - b)]
    }),
  )
}
