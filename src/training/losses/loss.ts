import type { Draft } from '../../ir/draft.ts'
import type { TrainingSettings } from '../settings.ts'

/** Names of the values that a loss is made of. */
export interface LossContext {
  readonly draft: Draft
  /** `[N, classes]`, before any softmax. */
  readonly logits: string
  /** One-hot labels in float32, `[N, classes]`. */
  readonly targets: string
  /** Logits of the teacher, `[N, classes]`; present when there is one. */
  readonly teacher?: string
  readonly temperature: number
  /** A float32 scalar constant. */
  literal(value: number): string
  /** An int64 constant with one axis. */
  list(values: readonly number[]): string
}

/** A loss as a fragment of the training graph. */
export interface Loss {
  readonly name: TrainingSettings['loss']
  /** One full sentence. */
  readonly summary: string
  /** Whether it compares with a teacher's outputs. */
  readonly needsTeacher: boolean
  /** About the loss of a network that knows nothing, which tells divergence from a bad start. */
  chance(classes: number, temperature: number): number
  /** Appends the loss of each example, `[N]`, and returns its name. */
  build(context: LossContext): string
}

export function defineLoss(loss: Loss): Loss {
  return Object.freeze(loss)
}
