/** Which steps a training run consists of, as a pure function of the sizes. */
import { UsageError } from '../errors.ts'
import type { TrainingSettings } from './settings.ts'

export interface TrainingPlan {
  readonly examples: number
  /** Examples a step; the last step of an epoch takes what remains. */
  readonly batchSize: number
  readonly stepsPerEpoch: number
  readonly totalSteps: number
  /** The largest number of steps in one run of the engine. */
  readonly stepsPerRun: number
}

/** Some consecutive steps of one epoch with batches of the same size. */
export interface Chunk {
  /** Counted from 0. */
  readonly epoch: number
  /** Position in the epoch's order of the first example. */
  readonly start: number
  readonly steps: number
  readonly batchSize: number
  /** Steps of the run that come before. */
  readonly before: number
}

/** @throws UsageError when the epochs are too few for a single step. */
export function planTraining(
  examples: number,
  settings: Pick<TrainingSettings, 'epochs' | 'batchSize'>,
  stepsPerRun: number,
): TrainingPlan {
  const batchSize = Math.min(settings.batchSize, examples)
  const stepsPerEpoch = Math.ceil(examples / batchSize)
  const totalSteps = Math.round(settings.epochs * stepsPerEpoch)
  if (totalSteps < 1)
    throw new UsageError('too-few-epochs', `${settings.epochs} epochs of ${examples} examples are less than one step`, {
      place: 'epochs',
      hint: 'Train longer, or with smaller batches.',
    })
  return { examples, batchSize, stepsPerEpoch, totalSteps, stepsPerRun }
}

/** The steps that follow when `steps` are done; undefined at the end. */
export function chunkAfter(plan: TrainingPlan, steps: number): Chunk | undefined {
  const remaining = plan.totalSteps - steps
  if (remaining <= 0) return undefined
  const epoch = Math.floor(steps / plan.stepsPerEpoch)
  const inEpoch = steps - epoch * plan.stepsPerEpoch
  const start = inEpoch * plan.batchSize
  const full = Math.floor((plan.examples - start) / plan.batchSize)
  if (full === 0) return { epoch, start, steps: 1, batchSize: plan.examples - start, before: steps }
  return { epoch, start, steps: Math.min(full, remaining, plan.stepsPerRun), batchSize: plan.batchSize, before: steps }
}
