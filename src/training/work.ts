import { modelCost } from '../ir/cost.ts'
import type { Model } from '../ir/model.ts'
import { elementCount } from '../tensor/tensor.ts'

/** Multiply-accumulates a millisecond that a training step reaches on one core: a rough middle of small and large networks. */
const MACS_PER_MS = 40e6
/** A step's forward pass, the gradient by its inputs and that by its weights cost about the same. */
const PASSES = 3

/** A rough guess of the milliseconds that one step takes on one core; only scheduling depends on it, no result. */
export function estimateStepMs(model: Model, batchSize: number): number {
  return (modelCost(model).total.macs * batchSize * PASSES) / MACS_PER_MS
}

/**
 * Steps for one run of the engine. Leaving a run costs the copying of all state (about 0.6 ms a MB); staying in it delays
 * progress, stopping and checkpoints, and needs memory for the batches: so up to a quarter of a second and 64 MB.
 */
export function chooseStepsPerRun(stepMs: number, batchElements: number): number {
  const byTime = Math.floor(250 / Math.max(stepMs, 0.5))
  const byMemory = Math.floor(2 ** 24 / batchElements)
  return Math.max(1, Math.min(32, byTime, byMemory))
}

/** Elements of one batch of examples of a shape. */
export function batchElements(inputShape: readonly number[], batchSize: number): number {
  return elementCount(inputShape) * batchSize
}
