import { UsageError } from '../errors.ts'

/** How strongly one step moves the average: about the last 50 steps count. */
const DECAY = 0.98
/** So many times above the level of an untrained network the average must be: noise never is. */
const FACTOR = 10
/** Steps before the average is judged. */
const PATIENCE = 20

/** What a run carries from step to step to tell divergence; part of a checkpoint. */
export interface LossTrend {
  /** Moving average of the loss, starting at the first. */
  readonly smoothedLoss: number
  readonly firstLoss: number
}

export interface LossWatch {
  trend(): LossTrend
  /** @throws UsageError `training-diverged` when the loss is not a number or has exploded. */
  observe(loss: number, step: number, learningRate: number): void
}

/**
 * Watches the loss of each step. A loss that is no finite number, or an average over some 50 steps that is ten times
 * above both the first loss and what an untrained network has (`chance`), is divergence; ups and downs of single
 * batches, and starting from a damaged network, are not.
 */
export function createLossWatch(chance: number, resumed?: LossTrend): LossWatch {
  let smoothed = resumed?.smoothedLoss ?? Number.NaN
  let first = resumed?.firstLoss ?? Number.NaN
  return {
    trend: () => ({ smoothedLoss: smoothed, firstLoss: first }),
    observe(loss, step, learningRate) {
      if (!Number.isFinite(loss)) throw diverged(step, learningRate, `the loss became ${loss}`)
      if (Number.isNaN(first)) first = smoothed = loss
      else smoothed = DECAY * smoothed + (1 - DECAY) * loss
      const level = Math.max(Math.abs(first), chance)
      if (step >= PATIENCE && smoothed > FACTOR * level)
        throw diverged(step, learningRate, `the loss grew to ${smoothed.toPrecision(3)} from ${first.toPrecision(3)}`)
    },
  }
}

export function diverged(step: number, learningRate: number, what: string): UsageError {
  const lower = Number((learningRate / 10).toPrecision(2))
  return new UsageError('training-diverged', `training diverged at step ${step}: ${what}`, {
    place: `step ${step}`,
    hint: `Lower the learning rate (it was ${Number(learningRate.toPrecision(3))}; try ${lower}), add warm-up, or check that the inputs are scaled.`,
  })
}
