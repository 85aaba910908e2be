/** What one epoch of a training run came to. */
export interface EpochRecord {
  /** Counted from 1. */
  readonly epoch: number
  /** Means over the epoch, measured in passing while the parameters changed. */
  readonly loss: number
  readonly accuracy: number
  /** Learning rate of its last step. */
  readonly learningRate: number
  /** How often a tensor was too large for its exponent; present in a training in flexpoint. */
  readonly overflows?: number
  /** Present when there is validation data. */
  readonly validation?: { readonly loss: number; readonly accuracy: number }
}

/** Whether `a` is a better validation result than `b`: more right answers, or as many at a lower loss. */
export function isBetter(
  a: { readonly loss: number; readonly accuracy: number },
  b: { readonly loss: number; readonly accuracy: number },
): boolean {
  return a.accuracy > b.accuracy || (a.accuracy === b.accuracy && a.loss < b.loss)
}
