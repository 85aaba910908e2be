import type { ProgressListener } from '../progress.ts'
import type { EpochRecord } from './history.ts'
import type { TrainingPlan } from './plan.ts'

export interface TrainingReporter {
  /** Some steps were taken: `done` of the run so far, with `examples` in them, and the epoch's means so far. */
  steps(done: number, examples: number, epoch: { readonly loss: number; readonly accuracy: number }): void
  /** An epoch is complete. */
  epoch(record: EpochRecord): void
}

/** Weight of the newest measurement in the moving averages of speed. */
const NEWEST = 0.2

/**
 * Turns training into progress events: `done` and `total` are steps; the details are epoch, loss, accuracy, images a
 * second, seconds left (`etaSeconds`), and after each epoch the validation accuracy.
 */
export function createReporter(
  listener: ProgressListener | undefined,
  task: string,
  plan: TrainingPlan,
  resumedSteps: number,
): TrainingReporter {
  let last = performance.now()
  let stepSeconds: number | undefined
  let imagesPerSecond = 0
  let done = resumedSteps
  let details: Record<string, string | number> = {}
  const emit = () => listener?.({ task, done, total: plan.totalSteps, detail: details })
  return {
    steps(now, examples, { loss, accuracy }) {
      const elapsed = Math.max(1e-6, (performance.now() - last) / 1000)
      const newest = elapsed / (now - done)
      stepSeconds = stepSeconds === undefined ? newest : (1 - NEWEST) * stepSeconds + NEWEST * newest
      const rate = examples / elapsed
      imagesPerSecond = imagesPerSecond === 0 ? rate : (1 - NEWEST) * imagesPerSecond + NEWEST * rate
      done = now
      last = performance.now()
      details = {
        ...details,
        epoch: Math.ceil(done / plan.stepsPerEpoch),
        loss: round(loss),
        accuracy: round(accuracy),
        imagesPerSecond: Math.round(imagesPerSecond),
        etaSeconds: round((plan.totalSteps - done) * stepSeconds),
      }
      emit()
    },
    epoch(record) {
      // Validation is no training: the speed does not count it.
      last = performance.now()
      details = { ...details, epoch: record.epoch, loss: round(record.loss), accuracy: round(record.accuracy) }
      if (record.validation) details.validationAccuracy = round(record.validation.accuracy)
      emit()
    },
  }
}

function round(value: number): number {
  return Number(value.toPrecision(4))
}
