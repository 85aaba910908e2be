/** What a classifier loses when some of its channels are switched off: measured, not estimated. */
import { z } from 'zod'
import type { ChannelGroup } from '../../../../ir/channel-groups.ts'
import type { Removals } from '../../../../ir/cut.ts'
import { withMaskInput } from '../../../../ir/mask-inputs.ts'
import { toFloat32Model } from '../../../../ir/precision.ts'
import type { Random } from '../../../../tensor/random.ts'
import { withTrials, type ModelToTry, type Trials } from '../../../trials.ts'
import type { GroupToCut } from './pruner.ts'

/** The model in which these channels are multiplied by zero. */
export type MaskTrials = Trials<Removals>

/** The option that says how many examples a trial looks at. */
export const samplesOption = z
  .number()
  .int()
  .min(1)
  .max(1_000_000)
  .default(256)
  .describe('examples of the validation data on which each trial is measured')

/**
 * As `withTrials`, with other channels of the groups with the given ids switched off.
 * @throws UsageError when there is no data, or the model does not fit it.
 */
export async function withMaskTrials<T>(given: ToTry, work: (trials: MaskTrials) => Promise<T>): Promise<T> {
  const ids = given.groups.map(({ id }) => id)
  const { model, mask, maskOf } = withMaskInput(toFloat32Model(given.model), ids)
  return withTrials({ ...given, model, promoted: [mask] }, ({ data, measure }) =>
    work({ data, measure: (removals) => measure({ [mask]: maskOf(removals) }) }),
  )
}

/** What is tried. */
export interface ToTry extends Omit<ModelToTry, 'promoted'> {
  readonly groups: readonly Pick<ChannelGroup, 'id'>[]
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
